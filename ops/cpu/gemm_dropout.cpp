#include "ops/cpu/gemm_dropout.h"

#include <algorithm>

#include "engine/error.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/scratch.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;
constexpr Index piece_bytes = 4 << 20;  // of a dropped-out copy: such a piece stays in the cache

/// Whether rows are taken in pieces: of a sum over rows (dA = dhᵀ drop(x)), or of the product itself.
bool in_pieces(const GemmArgs& g) {
  return g.dropped == Dropped::product || (g.dropped == Dropped::b && g.transpose_a && !g.transpose_b);
}

/// What is dropped out, or formed to be.
ConstMatrix target(const GemmArgs& g) {
  if (g.dropped == Dropped::product) return {nullptr, g.c.dtype, g.c.rows, g.c.cols, g.c.cols};
  return g.dropped == Dropped::a ? g.a : ConstMatrix(g.b);
}

Index rows_of_piece(const GemmArgs& g) {
  ConstMatrix whole = target(g);
  if (!in_pieces(g)) return whole.rows;
  Index fit = piece_bytes / (whole.cols * static_cast<Index>(size_of(whole.dtype)));
  return std::min(std::max<Index>(fit / 16 * 16, 256), whole.rows);
}

std::size_t copy_bytes(const GemmArgs& g) {
  return whole_lines(bytes_of(target(g).dtype, rows_of_piece(g) * target(g).cols));
}

DropoutMask mask_from(const GemmArgs& g, Index row) {
  DropoutMask mask = g.dropout;
  if (mask.tokens) mask.tokens += 2 * row;
  return mask;
}

/// The product of `count` rows from `begin` on, whose dropped-out copy is `copy`.
GemmArgs part(GemmArgs g, Index begin, Index count, void* copy) {
  ConstMatrix whole = target(g);
  Matrix piece{copy, whole.dtype, count, whole.cols, whole.cols};
  if (g.dropped == Dropped::product) {
    g.a = g.transpose_a ? column_range(g.a, begin, count) : row_range(g.a, begin, count);
    g.c = piece;
    g.beta = 0;
  } else if (g.dropped == Dropped::a) {
    g.a = piece;
  } else {
    g.b = piece;
    if (in_pieces(g)) g.a = row_range(g.a, begin, count);
    if (begin > 0) g.beta = 1;
  }
  g.dropout = {};
  return g;
}

}  // namespace

std::size_t gemm_dropout_scratch(Device& device, const GemmArgs& g) {
  Index rows = target(g).rows, size = rows_of_piece(g),
        last = rows == 0 ? 0 : (rows - 1) % std::max<Index>(size, 1) + 1;
  return copy_bytes(g) + std::max(scratch_bytes(device, part(g, 0, size, nullptr)),
                                  scratch_bytes(device, part(g, rows - last, last, nullptr)));
}

void gemm_dropout(Device& device, const GemmArgs& g, void* scratch) {
  if (g.bias) throw UsageError("gemm: a bias beside dropout");
  void* rest = static_cast<std::byte*>(scratch) + copy_bytes(g);
  Index rows = target(g).rows, size = rows_of_piece(g), begin = 0;
  do {
    Index count = std::min(size, rows - begin);
    GemmArgs product = part(g, begin, count, scratch);
    Matrix copy{scratch, target(g).dtype, count, target(g).cols, target(g).cols};
    DropoutArgs drop{.x = row_range(target(g), begin, count), .y = copy, .mask = mask_from(g, begin)};
    if (g.dropped == Dropped::product) {
      gemm(device, product, rest);
      drop.x = copy;
      drop.y = row_range(g.c, begin, count);
      drop.beta = g.beta;
      dropout(device, drop);
    } else {
      dropout(device, drop);
      gemm(device, product, rest);
    }
    begin += count;
  } while (begin < rows);
}

}  // namespace loragrad::cpu

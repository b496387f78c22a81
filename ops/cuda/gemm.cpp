#include <algorithm>

#include "engine/error.h"
#include "ops/cuda/gemv.h"
#include "ops/cuda/gpu.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/products.h"
#include "ops/cuda/scratch.h"
#include "ops/cuda/thin.h"
#include "ops/gemm.h"

namespace loragrad::cuda {
namespace {

using Index = std::int64_t;

constexpr Index piece_bytes = 64 << 20;  // of a copy that stands for an operand or a result

/// A dimension in pieces of at most that many bytes, cut where the tensor cores' tiles end.
struct Pieces {
  Pieces(Index n, Index bytes_of_one)
      : n(n), size(std::min(n, std::max<Index>(piece_bytes / std::max<Index>(bytes_of_one, 1) / 64, 1) * 64)) {}
  Index count() const { return n == 0 ? 0 : (n + size - 1) / size; }
  Index begin(Index i) const { return i * size; }
  Index length(Index i) const { return std::min(size, n - begin(i)); }
  Index n, size;
};

/// A part of a product, and the copy that it has in place of a matrix.
struct Part {
  GemmArgs g;
  Matrix copy;
};

/// The most scratch space that a part of them takes: only the last has another size.
template <class Parts>
std::size_t scratch_of(Device& device, const Parts& parts) {
  Index last = parts.pieces.count() - 1;
  std::size_t most = 0;
  for (Index i : {Index{0}, last}) {
    Scratch scratch(nullptr);
    Part part = parts.part(i, scratch);
    most = std::max(most, scratch.used() + scratch_bytes(device, part.g));
  }
  return most;
}

/// A weight in another type than the activations: converted for some columns of c at a time, so that no second copy of
/// it exists and every element of c is rounded once.
struct ConvertedParts {
  explicit ConvertedParts(const GemmArgs& g)
      : g(g), pieces(g.c.cols, static_cast<Index>(bytes_of(g.a.dtype, inner(g)))) {}
  WeightView weight(Index i) const {
    return g.transpose_b ? row_range(g.b, pieces.begin(i), pieces.length(i))
                         : column_range(g.b, pieces.begin(i), pieces.length(i));
  }
  Part part(Index i, Scratch& scratch) const {
    Part part{g, scratch.take(g.a.dtype, weight(i).rows, weight(i).cols)};
    part.g.b = part.copy;
    part.g.c = column_range(g.c, pieces.begin(i), pieces.length(i));
    if (g.bias)
      part.g.bias = static_cast<const std::byte*>(g.bias) + bytes_of(accumulation_type(g.c.dtype), pieces.begin(i));
    return part;
  }
  void run(Device& device, Index i, void* memory) const {
    Scratch scratch(memory);
    Part part = this->part(i, scratch);
    accumulate(device, {weight(i), 1, part.copy, 0});
    gemm(device, part.g, scratch.rest());
  }
  GemmArgs g;
  Pieces pieces;
};

/// A product with dropout: copies of what is dropped out, in pieces where that leaves the sums as they are, or cuts a
/// sum over tokens.
struct DroppedParts {
  explicit DroppedParts(const GemmArgs& g)
      : g(g), pieces(target().rows, in_pieces() ? static_cast<Index>(bytes_of(target().dtype, target().cols)) : 0) {}
  /// What is dropped out, or formed to be.
  ConstMatrix target() const {
    if (g.dropped == Dropped::product) return {nullptr, g.c.dtype, g.c.rows, g.c.cols, g.c.cols};
    return g.dropped == Dropped::a ? g.a : ConstMatrix(g.b);
  }
  bool in_pieces() const {
    if (g.dropped == Dropped::b) return g.transpose_a && !g.transpose_b;
    return g.dropped == Dropped::product || !g.transpose_a;
  }
  Part part(Index i, Scratch& scratch) const {
    Index begin = pieces.begin(i), count = pieces.length(i);
    Part part{g, scratch.take(target().dtype, count, target().cols)};
    part.g.dropout = {};
    if (g.dropped == Dropped::product) {
      part.g.a = g.transpose_a ? column_range(g.a, begin, count) : row_range(g.a, begin, count);
      part.g.c = part.copy;
      part.g.beta = 0;
    } else if (g.dropped == Dropped::a) {
      part.g.a = part.copy;
      if (in_pieces()) part.g.c = row_range(g.c, begin, count);
    } else {
      part.g.b = part.copy;
      if (in_pieces()) part.g.a = row_range(g.a, begin, count);
      if (begin > 0) part.g.beta = 1;
    }
    return part;
  }
  void run(Device& device, Index i, void* memory) const {
    Scratch scratch(memory);
    Part part = this->part(i, scratch);
    Index begin = pieces.begin(i), count = pieces.length(i);
    DropoutMask mask = g.dropout;
    if (mask.tokens) mask.tokens += 2 * begin;
    if (g.dropped == Dropped::product) {
      gemm(device, part.g, scratch.rest());
      dropout(device, {.x = part.copy, .y = row_range(g.c, begin, count), .mask = mask, .beta = g.beta});
    } else {
      dropout(device, {.x = row_range(target(), begin, count), .y = part.copy, .mask = mask});
      gemm(device, part.g, scratch.rest());
    }
  }
  GemmArgs g;
  Pieces pieces;
};

template <class Parts>
void run_all(Device& device, const Parts& parts, void* scratch) {
  for (Index i = 0; i < parts.pieces.count(); ++i) parts.run(device, i, scratch);
}

std::span<const GemmArgs> one(const GemmArgs& g) { return {&g, 1}; }

}  // namespace

std::size_t scratch_bytes(Device& device, const GemmArgs& g) {
  if (g.c.rows == 0 || g.c.cols == 0 || inner(g) == 0) return 0;
  if (is_gemv(g)) return gemv_scratch(g);
  if (is_thin(g)) return thin_scratch(device, one(g));
  if (g.dropout.on()) return scratch_of(device, DroppedParts(g));
  if (g.b.dtype != g.a.dtype) return scratch_of(device, ConvertedParts(g));
  return 0;
}

void gemm(Device& device, const GemmArgs& g, void* scratch) {
  check_gemm(g);
  if (g.bias && g.dropout.on()) throw UsageError("gemm: a bias beside dropout");
  if (g.c.rows == 0 || g.c.cols == 0) return;
  if (inner(g) == 0) return put_bias(device, g);  // no tokens, or rank 0
  if (is_gemv(g)) return gemv(device, g, scratch);
  if (is_thin(g)) return thin(device, one(g), scratch);
  if (g.dropout.on()) return run_all(device, DroppedParts(g), scratch);
  if (g.b.dtype != g.a.dtype) return run_all(device, ConvertedParts(g), scratch);
  gpu_of(device).products().multiply(device, g);
}

}  // namespace loragrad::cuda

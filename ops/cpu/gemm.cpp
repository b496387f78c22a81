#include <algorithm>
#include <cstring>

#include "ops/cpu/gemm_dropout.h"
#include "ops/cpu/gemm_rows.h"
#include "ops/cpu/gemm_split.h"
#include "ops/cpu/gemm_tiles.h"
#include "ops/cpu/instruction_sets.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/scratch.h"
#include "ops/gemm.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;
constexpr Index converted_bytes = 8 << 20;  // of a weight, at a time, as it is used

bool emulated(const GemmArgs& g) { return g.a.dtype == DType::bf16 && !has_bf16(); }

std::span<const GemmArgs> one(const GemmArgs& g) { return {&g, 1}; }

/// A weight in another type than the activations that has to be in theirs.
bool takes_converted(const GemmArgs& g) { return g.b.dtype != g.a.dtype && !is_split(g); }

/// A column of a wider matrix. Libraries may take its elements to be neighbours: oneDNN 3.7 writes them so.
bool is_strided_column(const ConstMatrix& m) { return m.cols == 1 && m.rows > 1 && m.stride > 1; }
bool takes_copies(const GemmArgs& g) {
  return emulated(g) || is_strided_column(g.a) || is_strided_column(g.b) || is_strided_column(g.c);
}

/// The product of dense copies, which are taken from `scratch`: in f32 where they stand for bf16 operands, of single
/// columns otherwise. Without memory it is measured only.
struct Copies {
  Copies(const GemmArgs& args, void* memory) : g(args), scratch(memory) {
    bool all = emulated(args);
    if (all || is_strided_column(args.a)) g.a = place(args.a, all);
    if (all || is_strided_column(args.b)) g.b = place(args.b, all);
    has_c = (all && args.c.dtype == DType::bf16) || is_strided_column(args.c);
    if (has_c) g.c = place(args.c, all);
  }
  Matrix place(const ConstMatrix& m, bool in_f32) {
    return scratch.take(in_f32 ? DType::f32 : m.dtype, m.rows, m.cols);
  }
  GemmArgs g;
  Scratch scratch;
  bool has_c = false;
};

/// c is rounded once, at the end.
void multiply_copies(Device& device, const GemmArgs& args, void* workspace) {
  Copies copies(args, workspace);
  const GemmArgs& g = copies.g;
  auto copy = [&](const ConstMatrix& from, const ConstMatrix& to) {
    if (from.data != to.data)
      accumulate(device, {from, 1, {const_cast<void*>(to.data), to.dtype, to.rows, to.cols, to.stride}, 0});
  };
  copy(args.a, g.a);
  copy(args.b, g.b);
  if (args.beta != 0) copy(args.c, g.c);
  gemm(device, g, copies.scratch.rest());
  if (copies.has_c) accumulate(device, {g.c, 1, args.c, 0});
}

/// Columns of c whose part of the weight is converted at a time.
Pieces converted_columns(const GemmArgs& g) {
  Index inner_bytes = std::max<Index>(1, inner(g)) * static_cast<Index>(size_of(g.a.dtype));
  return {g.c.cols, std::min(g.c.cols, std::clamp<Index>(converted_bytes / inner_bytes / 16 * 16, 16, 256))};
}

/// The i-th of those products, with the weight's columns in a's type.
GemmArgs converted_part(const GemmArgs& g, Index i, void* converted) {
  Pieces columns = converted_columns(g);
  GemmArgs part = tile_of(g, 0, g.c.rows, columns.begin(i), columns.length(i));
  part.b = ConstMatrix{converted, g.a.dtype, part.b.rows, part.b.cols, part.b.cols};
  return part;
}

std::size_t converted_size(const GemmArgs& g) {
  Pieces columns = converted_columns(g);
  Index most = std::max(columns.length(0), columns.length(columns.count() - 1));
  return whole_lines(bytes_of(g.a.dtype, most * inner(g)));
}

/// A weight in another type than the activations: converted for some columns of c at a time, so that no second copy of
/// it exists and every element of c is rounded once.
void multiply_converted(Device& device, const GemmArgs& g, void* workspace) {
  void* scratch = static_cast<std::byte*>(workspace) + converted_size(g);
  Pieces columns = converted_columns(g);
  for (Index i = 0; i < columns.count(); ++i) {
    GemmArgs part = converted_part(g, i, workspace);
    Matrix converted{workspace, part.b.dtype, part.b.rows, part.b.cols, part.b.cols};
    accumulate(device, {tile_of(g, 0, g.c.rows, columns.begin(i), columns.length(i)).b, 1, converted, 0});
    multiply(device, one(part), scratch);
  }
}

}  // namespace

bool is_tiled(const GemmArgs& g) { return inner(g) > 0 && !is_gemm_rows(g) && !takes_copies(g) && !takes_converted(g); }

std::size_t scratch_bytes(Device& device, const GemmArgs& g) {
  if (inner(g) == 0 || g.c.rows == 0 || g.c.cols == 0) return 0;
  if (g.dropout.on()) return gemm_dropout_scratch(device, g);
  if (is_gemm_rows(g)) return gemm_rows_workspace(g);
  if (takes_copies(g)) {
    Copies copies(g, nullptr);
    return copies.scratch.used() + scratch_bytes(device, copies.g);
  }
  if (!takes_converted(g)) return multiply_workspace(device, one(g));
  Index last = converted_columns(g).count() - 1;
  return converted_size(g) + std::max(multiply_workspace(device, one(converted_part(g, 0, nullptr))),
                                      multiply_workspace(device, one(converted_part(g, last, nullptr))));
}

void gemm(Device& device, const GemmArgs& g, void* workspace) {
  check_gemm(g);
  Index m = g.c.rows, n = g.c.cols, k = inner(g);
  if (m == 0 || n == 0) return;
  if (k == 0) {  // no tokens, or rank 0: the sum is empty
    for (Index row = 0; row < m; ++row) {
      Matrix c = row_range(g.c, row, 1);
      ConstMatrix bias{g.bias, accumulation_type(g.c.dtype), 1, n, n};
      accumulate(device, {g.bias ? bias : ConstMatrix(c), g.bias ? 1.0 : 0.0, c, g.beta});
    }
    return;
  }
  if (g.dropout.on()) return gemm_dropout(device, g, workspace);
  if (is_gemm_rows(g)) return gemm_rows(device, g, workspace);
  if (takes_copies(g)) return multiply_copies(device, g, workspace);
  if (takes_converted(g)) return multiply_converted(device, g, workspace);
  multiply(device, one(g), workspace);
}

std::size_t scratch_bytes(Device& device, const GemmListArgs& args) {
  std::size_t most = 0;
  for (const GemmArgs& g : args.products) most = std::max(most, scratch_bytes(device, g));
  return most;
}

void gemm_list(Device& device, const GemmListArgs& args, void* workspace) {
  for (const GemmArgs& g : args.products) gemm(device, g, workspace);
}

}  // namespace loragrad::cpu

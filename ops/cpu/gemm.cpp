#include <algorithm>
#include <cstring>
#include <string>

#include "engine/error.h"
#include "ops/cpu/gemm_library.h"
#include "ops/cpu/gemm_panels.h"
#include "ops/cpu/gemm_tiles.h"
#include "ops/cpu/gemv.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;
constexpr Index converted_bytes = 8 << 20;  // of a weight, at a time, as it is used

bool emulated(const GemmArgs& g) { return g.a.dtype == DType::bf16 && !library_has_bf16(); }
std::span<const GemmArgs> one(const GemmArgs& g) { return {&g, 1}; }

/// The product of f32 copies that stand for bf16 operands, one behind the other in the first `bytes` of `memory`;
/// without memory it is measured only.
struct Emulation {
  Emulation(const GemmArgs& args, void* at) : g(args), memory(static_cast<std::byte*>(at)) {
    g.a = place(args.a);
    g.b = place(args.b);
    if (args.c.dtype == DType::bf16) g.c = place(args.c);
  }
  Matrix place(const ConstMatrix& m) {
    Matrix copy{memory ? memory + bytes : nullptr, DType::f32, m.rows, m.cols, m.cols};
    bytes += (static_cast<std::size_t>(m.rows * m.cols) * sizeof(float) + 63) / 64 * 64;
    return copy;
  }
  GemmArgs g;
  std::byte* memory;
  std::size_t bytes = 0;
};

/// Products of bf16 on a processor that has none: through f32 copies, rounded once at the end.
void multiply_emulated(Device& device, const GemmArgs& args, void* workspace) {
  Emulation f32(args, workspace);
  auto copy = [&](const ConstMatrix& from, const ConstMatrix& to) {
    accumulate(device, from, 1, {const_cast<void*>(to.data), to.dtype, to.rows, to.cols, to.stride}, 0);
  };
  copy(args.a, f32.g.a);
  copy(args.b, f32.g.b);
  bool rounds = args.c.dtype == DType::bf16;
  if (rounds && args.beta != 0) copy(args.c, f32.g.c);
  multiply(device, one(f32.g), f32.memory + f32.bytes);
  if (rounds) accumulate(device, f32.g.c, 1, args.c, 0);
}

/// Columns of c whose part of the weight is converted at a time.
Index converted_columns(const GemmArgs& g) {
  Index inner_bytes = std::max<Index>(1, inner(g)) * static_cast<Index>(size_of(g.a.dtype));
  return std::min(g.c.cols, std::clamp<Index>(converted_bytes / inner_bytes / 16 * 16, 16, 256));
}

/// The product with columns of the weight in a's type: of c from `col` on.
GemmArgs converted_part(const GemmArgs& g, Index col, void* converted) {
  GemmArgs part = tile_of(g, 0, g.c.rows, col, std::min(converted_columns(g), g.c.cols - col));
  part.b = {converted, g.a.dtype, part.b.rows, part.b.cols, part.b.cols};
  return part;
}

std::size_t converted_size(const GemmArgs& g) {
  auto bytes = static_cast<std::size_t>(converted_columns(g) * inner(g)) * size_of(g.a.dtype);
  return (bytes + 63) / 64 * 64;
}

/// A weight in another type than the activations: converted for some columns of c at a time, so that no second copy of
/// it exists and every element of c is rounded once.
void multiply_converted(Device& device, const GemmArgs& g, void* workspace) {
  void* scratch = static_cast<std::byte*>(workspace) + converted_size(g);
  for (Index col = 0; col < g.c.cols; col += converted_columns(g)) {
    GemmArgs part = converted_part(g, col, workspace);
    Matrix converted{workspace, part.b.dtype, part.b.rows, part.b.cols, part.b.cols};
    accumulate(device, tile_of(g, 0, g.c.rows, col, part.c.cols).b, 1, converted, 0);
    multiply(device, one(part), scratch);
  }
}

}  // namespace

bool is_tiled(const GemmArgs& g) { return inner(g) > 0 && !is_gemv(g) && !emulated(g) && g.b.dtype == g.a.dtype; }

std::size_t gemm_workspace(Device& device, const GemmArgs& g) {
  if (inner(g) == 0 || g.c.rows == 0 || g.c.cols == 0) return 0;
  if (g.panels_a || g.panels_c) return gemm_panels_workspace(device, g);
  if (is_gemv(g)) return gemv_workspace(g);
  if (emulated(g)) {
    Emulation f32(g, nullptr);
    return f32.bytes + multiply_workspace(device, one(f32.g));
  }
  if (g.b.dtype == g.a.dtype) return multiply_workspace(device, one(g));
  Index last = (g.c.cols - 1) / converted_columns(g) * converted_columns(g);
  return converted_size(g) + std::max(multiply_workspace(device, one(converted_part(g, 0, nullptr))),
                                      multiply_workspace(device, one(converted_part(g, last, nullptr))));
}

void gemm(Device& device, const GemmArgs& g, void* workspace) {
  Index k = inner(g), k_b = g.transpose_b ? g.b.cols : g.b.rows, n = g.transpose_b ? g.b.rows : g.b.cols;
  Index m = g.transpose_a ? g.a.cols : g.a.rows;
  if (k != k_b || m != g.c.rows || n != g.c.cols)
    throw ShapeError("gemm: [" + std::to_string(m) + ", " + std::to_string(k) + "] times [" + std::to_string(k_b) +
                     ", " + std::to_string(n) + "] into [" + std::to_string(g.c.rows) + ", " +
                     std::to_string(g.c.cols) + "]");
  if (m == 0 || n == 0) return;
  if (g.panels_c || (g.panels_a && k > 0)) return gemm_panels(device, g, workspace);
  if (k == 0) {  // no tokens: the sum is empty
    for (Index row = 0; row < m; ++row) {
      Matrix c = row_range(g.c, row, 1);
      ConstMatrix bias{g.bias, g.c.dtype == DType::f64 ? DType::f64 : DType::f32, 1, n, n};
      accumulate(device, g.bias ? bias : ConstMatrix(c), g.bias ? 1 : 0, c, g.beta);
    }
    return;
  }
  if (is_gemv(g)) return gemv(device, g, workspace);
  if (emulated(g)) return multiply_emulated(device, g, workspace);
  if (g.b.dtype != g.a.dtype) return multiply_converted(device, g, workspace);
  multiply(device, one(g), workspace);
}

}  // namespace loragrad::cpu

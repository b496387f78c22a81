#include <algorithm>
#include <cstring>
#include <string>

#include "engine/error.h"
#include "ops/cpu/gemm_library.h"
#include "ops/cpu/gemm_tiles.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;
constexpr Index panel_bytes = 8 << 20;  // of a weight that is converted as it is used

bool emulated(const GemmArgs& g) { return g.a.dtype == DType::bf16 && !library_has_bf16(); }
std::size_t f32_bytes(const ConstMatrix& m) { return static_cast<std::size_t>(m.rows * m.cols) * 4; }

/// Products of bf16 on a processor that has none: through f32 copies, rounded once at the end.
void multiply_emulated(Device& device, GemmArgs g, void* workspace) {
  auto* scratch = static_cast<float*>(workspace);
  auto copy = [&](ConstMatrix m) {
    Matrix f{scratch, DType::f32, m.rows, m.cols, m.cols};
    accumulate(device, m, 1, f, 0);
    scratch += m.rows * m.cols;
    return f;
  };
  Matrix c = g.c;
  g.a = copy(g.a);
  g.b = copy(g.b);
  if (c.dtype == DType::bf16) {
    if (g.beta != 0)
      g.c = copy(c);
    else
      g.c = {scratch, DType::f32, c.rows, c.cols, c.cols};
  }
  multiply(device, g, nullptr);
  if (c.dtype == DType::bf16) accumulate(device, g.c, 1, c, 0);
}

/// Columns of c whose part of the weight is converted at a time.
Index converted_columns(const GemmArgs& g) {
  Index inner_bytes = std::max<Index>(1, inner(g)) * static_cast<Index>(size_of(g.a.dtype));
  return std::min(g.c.cols, std::clamp<Index>(panel_bytes / inner_bytes / 16 * 16, 16, 256));
}

/// A panel of the weight in a's type: the columns of c from `col` on.
GemmArgs panel_part(const GemmArgs& g, Index col, void* panel) {
  GemmArgs part = tile_of(g, 0, g.c.rows, col, std::min(converted_columns(g), g.c.cols - col));
  part.b = {panel, g.a.dtype, part.b.rows, part.b.cols, part.b.cols};
  return part;
}

std::size_t panel_size(const GemmArgs& g) {
  auto bytes = static_cast<std::size_t>(converted_columns(g) * inner(g)) * size_of(g.a.dtype);
  return (bytes + 63) / 64 * 64;
}

/// A weight in another type than the activations: converted for some columns of c at a time, so that no second copy of
/// it exists and every element of c is rounded once.
void multiply_converted(Device& device, const GemmArgs& g, void* workspace) {
  void* scratch = static_cast<std::byte*>(workspace) + panel_size(g);
  for (Index col = 0; col < g.c.cols; col += converted_columns(g)) {
    GemmArgs part = panel_part(g, col, workspace);
    Matrix panel{workspace, part.b.dtype, part.b.rows, part.b.cols, part.b.cols};
    accumulate(device, tile_of(g, 0, g.c.rows, col, part.c.cols).b, 1, panel, 0);
    multiply(device, part, scratch);
  }
}

}  // namespace

std::size_t gemm_workspace(Device& device, const GemmArgs& g) {
  if (inner(g) == 0 || g.c.rows == 0 || g.c.cols == 0) return 0;
  if (emulated(g)) return f32_bytes(g.a) + f32_bytes(g.b) + (g.c.dtype == DType::bf16 ? f32_bytes(g.c) : 0);
  if (g.b.dtype == g.a.dtype) return multiply_workspace(device, g);
  Index last = (g.c.cols - 1) / converted_columns(g) * converted_columns(g);
  return panel_size(g) + std::max(multiply_workspace(device, panel_part(g, 0, nullptr)),
                                  multiply_workspace(device, panel_part(g, last, nullptr)));
}

void gemm(Device& device, const GemmArgs& g, void* workspace) {
  Index k = inner(g), k_b = g.transpose_b ? g.b.cols : g.b.rows, n = g.transpose_b ? g.b.rows : g.b.cols;
  Index m = g.transpose_a ? g.a.cols : g.a.rows;
  if (k != k_b || m != g.c.rows || n != g.c.cols)
    throw ShapeError("gemm: [" + std::to_string(m) + ", " + std::to_string(k) + "] times [" + std::to_string(k_b) +
                     ", " + std::to_string(n) + "] into [" + std::to_string(g.c.rows) + ", " +
                     std::to_string(g.c.cols) + "]");
  if (m == 0 || n == 0) return;
  if (k == 0) {  // no tokens: the sum is empty
    if (g.beta == 0)
      for (Index row = 0; row < m; ++row)
        std::memset(row_range(g.c, row, 1).data, 0, static_cast<std::size_t>(n) * size_of(g.c.dtype));
    return;
  }
  if (emulated(g)) return multiply_emulated(device, g, workspace);
  if (g.b.dtype != g.a.dtype) return multiply_converted(device, g, workspace);
  multiply(device, g, workspace);
}

}  // namespace loragrad::cpu

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/device.h"
#include "engine/error.h"
#include "ops/cpu/gemm_library.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;
constexpr Index row_tile = 128;
constexpr Index panel_bytes = 8 << 20;  // of a weight that is converted as it is used
constexpr Index long_k = 4096, k_block = 2048;

Index inner(const GemmArgs& g) { return g.transpose_a ? g.a.rows : g.a.cols; }

template <class M>
M rows_of(M m, Index begin, Index count) {
  using Byte = std::conditional_t<std::is_same_v<M, Matrix>, std::byte*, const std::byte*>;
  m.data = static_cast<Byte>(m.data) + static_cast<std::size_t>(begin * m.stride) * size_of(m.dtype);
  m.rows = count;
  return m;
}
template <class M>
M cols_of(M m, Index begin, Index count) {
  using Byte = std::conditional_t<std::is_same_v<M, Matrix>, std::byte*, const std::byte*>;
  m.data = static_cast<Byte>(m.data) + static_cast<std::size_t>(begin) * size_of(m.dtype);
  m.cols = count;
  return m;
}

GemmArgs tile(GemmArgs g, Index row, Index rows, Index col, Index cols) {
  g.c = cols_of(rows_of(g.c, row, rows), col, cols);
  g.a = g.transpose_a ? cols_of(g.a, row, rows) : rows_of(g.a, row, rows);
  g.b = g.transpose_b ? rows_of(g.b, col, cols) : cols_of(g.b, col, cols);
  if (g.bias)
    g.bias = static_cast<const std::byte*>(g.bias) + static_cast<std::size_t>(col) * (g.c.dtype == DType::f64 ? 8 : 4);
  return g;
}

GemmArgs inner_block(GemmArgs g, Index k, Index count, bool first) {
  g.a = g.transpose_a ? rows_of(g.a, k, count) : cols_of(g.a, k, count);
  g.b = g.transpose_b ? cols_of(g.b, k, count) : rows_of(g.b, k, count);
  if (!first) {
    g.beta = 1;
    g.bias = nullptr;
  }
  return g;
}

template <class T>
void put_bias(GemmArgs& g) {
  auto* bias = static_cast<const T*>(g.bias);
  for (Index i = 0; i < g.c.rows; ++i) {
    T* row = static_cast<T*>(g.c.data) + i * g.c.stride;
    if (g.beta == 0)
      std::copy(bias, bias + g.c.cols, row);
    else
      for (Index j = 0; j < g.c.cols; ++j) row[j] += bias[j];
  }
  g.beta = 1;
  g.bias = nullptr;
}

void multiply_tile(GemmArgs g) {
  if (g.a.dtype == DType::bf16) return library_gemm_bf16(g);
  if (g.bias) g.c.dtype == DType::f64 ? put_bias<double>(g) : put_bias<float>(g);
  library_gemm(g);
}

/// Where the tile that holds row `row` ends: tiles of 128, and what is left in powers of two down to 16, so that ragged
/// batches meet few shapes.
Index tile_end(Index row, Index rows) {
  Index left = rows - row;
  if (left >= row_tile) return row + row_tile;
  for (Index size = row_tile / 2; size >= 16; size /= 2)
    if (left >= size) return row + size;
  return rows;
}

/// Cuts c into tiles by its shape alone and multiplies them side by side.
void multiply(Device& device, const GemmArgs& g) {
  Index rows = g.c.rows, cols = g.c.cols;
  if (rows == 0 || cols == 0) return;
  if (inner(g) > long_k && !g.transpose_b && g.c.dtype != DType::bf16) {
    for (Index k = 0; k < inner(g); k += k_block)
      multiply(device, inner_block(g, k, std::min(k_block, inner(g) - k), k == 0));
    return;
  }
  std::vector<Index> row_ends;
  for (Index row = 0; row < rows; row = row_ends.back()) row_ends.push_back(tile_end(row, rows));
  // At least 16 tiles where that leaves columns in blocks of 64 or more.
  Index wanted = (16 + static_cast<Index>(row_ends.size()) - 1) / static_cast<Index>(row_ends.size());
  Index col_tile = std::max<Index>(64, (cols / wanted + 63) / 64 * 64);
  Index col_tiles = (cols + col_tile - 1) / col_tile, row_tiles = static_cast<Index>(row_ends.size());
  device.threads().parallel_for(row_tiles * col_tiles, [&](Index i) {
    Index r = i % row_tiles, col = i / row_tiles * col_tile, row = r ? row_ends[r - 1] : 0;
    multiply_tile(tile(g, row, row_ends[r] - row, col, std::min(col_tile, cols - col)));
  });
}

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
  multiply(device, g);
  if (c.dtype == DType::bf16) accumulate(device, g.c, 1, c, 0);
}

/// Columns of c whose part of the weight is converted at a time.
Index converted_columns(const GemmArgs& g) {
  Index inner_bytes = std::max<Index>(1, inner(g)) * static_cast<Index>(size_of(g.a.dtype));
  return std::clamp<Index>(panel_bytes / inner_bytes / 16 * 16, 16, 256);
}

/// A weight in another type than the activations: converted for some columns of c at a time, so that no second copy of
/// it exists and every element of c is rounded once.
void multiply_converted(Device& device, const GemmArgs& g, void* workspace) {
  Index columns = converted_columns(g);
  for (Index col = 0; col < g.c.cols; col += columns) {
    GemmArgs part = tile(g, 0, g.c.rows, col, std::min(columns, g.c.cols - col));
    Matrix panel{workspace, g.a.dtype, part.b.rows, part.b.cols, part.b.cols};
    accumulate(device, part.b, 1, panel, 0);
    part.b = panel;
    multiply(device, part);
  }
}

}  // namespace

std::size_t gemm_workspace(Device&, const GemmArgs& g) {
  if (emulated(g)) return f32_bytes(g.a) + f32_bytes(g.b) + (g.c.dtype == DType::bf16 ? f32_bytes(g.c) : 0);
  if (g.b.dtype == g.a.dtype) return 0;
  return static_cast<std::size_t>(std::min(converted_columns(g), g.c.cols) * inner(g)) * size_of(g.a.dtype);
}

void gemm(Device& device, const GemmArgs& g, void* workspace) {
  Index k = inner(g), k_b = g.transpose_b ? g.b.cols : g.b.rows, n = g.transpose_b ? g.b.rows : g.b.cols;
  Index m = g.transpose_a ? g.a.cols : g.a.rows;
  if (k != k_b || m != g.c.rows || n != g.c.cols)
    throw ShapeError("gemm: [" + std::to_string(m) + ", " + std::to_string(k) + "] times [" + std::to_string(k_b) +
                     ", " + std::to_string(n) + "] into [" + std::to_string(g.c.rows) + ", " +
                     std::to_string(g.c.cols) + "]");
  if (k == 0) {  // no tokens: the sum is empty
    if (g.beta == 0)
      for (Index row = 0; row < m; ++row)
        std::memset(rows_of(g.c, row, 1).data, 0, static_cast<std::size_t>(n) * size_of(g.c.dtype));
    return;
  }
  if (emulated(g)) return multiply_emulated(device, g, workspace);
  if (g.b.dtype != g.a.dtype) return multiply_converted(device, g, workspace);
  multiply(device, g);
}

}  // namespace loragrad::cpu

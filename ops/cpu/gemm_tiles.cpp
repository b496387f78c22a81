#include "ops/cpu/gemm_tiles.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "ops/cpu/gemm_library.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;

// The library copies each tile's operands into its own order, the weight's once per tile of rows: tall tiles pay for
// it least. More tiles keep more threads busy. Measured in docs/design/005.
constexpr Index tallest = 512, lowest = 128, narrowest = 192, enough_tiles = 8;
constexpr Index long_k = 4096, k_block = 2048;

/// c in tiles of about equal size. Rows in multiples of 16 but for the last, columns in multiples of 64.
struct Cut {
  explicit Cut(const Matrix& c) {
    Index wanted = 16 / std::max<Index>(1, parts(c.rows, tallest));
    cols = std::max(narrowest, rounded((c.cols + wanted - 1) / wanted, 64));
    col_tiles = parts(c.cols, cols);
    Index height = tallest;
    while (height > lowest && parts(c.rows, height) * col_tiles < enough_tiles) height /= 2;
    rows = rounded((c.rows + parts(c.rows, height) - 1) / parts(c.rows, height), 16);
    row_tiles = parts(c.rows, rows);
  }
  static Index parts(Index n, Index size) { return (n + size - 1) / size; }
  static Index rounded(Index n, Index step) { return std::max(step, (n + step - 1) / step * step); }
  Index count() const { return row_tiles * col_tiles; }
  GemmArgs tile(const GemmArgs& g, Index i) const {
    Index row = i % row_tiles * rows, col = i / row_tiles * cols;
    return tile_of(g, row, std::min(rows, g.c.rows - row), col, std::min(cols, g.c.cols - col));
  }
  Index rows, cols, row_tiles, col_tiles;
};

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

/// Not transposed, a b with many rows is slow in one piece (dy W of a large head): the sum is taken in blocks.
Index block_of_k(const GemmArgs& g) {
  bool in_blocks = inner(g) > long_k && !g.transpose_b && g.c.dtype != DType::bf16;
  return in_blocks ? k_block : inner(g);
}

GemmArgs inner_range(GemmArgs g, Index begin, Index count) {
  g.a = g.transpose_a ? row_range(g.a, begin, count) : column_range(g.a, begin, count);
  g.b = g.transpose_b ? column_range(g.b, begin, count) : row_range(g.b, begin, count);
  return g;
}

void multiply_tile(GemmArgs g, void* scratch) {
  bool is_bf16 = g.a.dtype == DType::bf16;
  if (g.bias && !is_bf16) g.c.dtype == DType::f64 ? put_bias<double>(g) : put_bias<float>(g);
  Index step = block_of_k(g);
  for (Index k = 0; k < inner(g); k += step) {
    GemmArgs part = inner_range(g, k, std::min(step, inner(g) - k));
    is_bf16 ? library_gemm_bf16(part, scratch) : library_gemm(part);
    g.beta = 1;
    g.bias = nullptr;
  }
}

/// Scratch space of one thread: the most that a tile asks for. Tiles differ only in the last row and column.
std::size_t tile_scratch(const GemmArgs& g, const Cut& cut) {
  if (g.a.dtype != DType::bf16) return 0;
  std::size_t most = 0;
  for (Index row : {Index{0}, cut.row_tiles - 1})
    for (Index col : {Index{0}, cut.col_tiles - 1}) {
      GemmArgs t = cut.tile(g, row + col * cut.row_tiles);
      Index step = block_of_k(t), last = (inner(t) - 1) / step * step;
      most = std::max(most, library_scratch(inner_range(t, 0, std::min(step, inner(t)))));
      if (last == 0) continue;
      t.beta = 1;
      t.bias = nullptr;
      most = std::max(
          {most, library_scratch(inner_range(t, 0, step)), library_scratch(inner_range(t, last, inner(t) - last))});
    }
  return (most + 63) / 64 * 64;
}

Index slots(Device& device, const Cut& cut) { return std::min<Index>(device.threads().size(), cut.count()); }

}  // namespace

GemmArgs tile_of(GemmArgs g, Index row, Index rows, Index col, Index cols) {
  g.c = column_range(row_range(g.c, row, rows), col, cols);
  g.a = g.transpose_a ? column_range(g.a, row, rows) : row_range(g.a, row, rows);
  g.b = g.transpose_b ? row_range(g.b, col, cols) : column_range(g.b, col, cols);
  if (g.bias)
    g.bias = static_cast<const std::byte*>(g.bias) + static_cast<std::size_t>(col) * (g.c.dtype == DType::f64 ? 8 : 4);
  return g;
}

std::size_t multiply_workspace(Device& device, const GemmArgs& g) {
  if (g.c.rows == 0 || g.c.cols == 0) return 0;
  Cut cut(g.c);
  return tile_scratch(g, cut) * static_cast<std::size_t>(slots(device, cut));
}

void multiply(Device& device, const GemmArgs& g, void* workspace) {
  if (g.c.rows == 0 || g.c.cols == 0) return;
  Cut cut(g.c);
  std::size_t scratch = tile_scratch(g, cut);
  std::atomic<Index> next{0};
  device.threads().parallel_for(slots(device, cut), [&](Index slot) {
    void* own = static_cast<std::byte*>(workspace) + static_cast<std::size_t>(slot) * scratch;
    for (Index i; (i = next.fetch_add(1)) < cut.count();) multiply_tile(cut.tile(g, i), own);
  });
}

}  // namespace loragrad::cpu

#include "ops/cpu/gemm_tiles.h"

#include <algorithm>
#include <atomic>

#include "ops/cpu/gemm_library.h"
#include "ops/cpu/kernels.h"

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
    Index wanted = std::max<Index>(1, 16 / std::max<Index>(1, parts(c.rows, tallest)));
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

GemmArgs inner_range(GemmArgs g, Index begin, Index count) {
  g.a = g.transpose_a ? row_range(g.a, begin, count) : column_range(g.a, begin, count);
  g.b = g.transpose_b ? column_range(g.b, begin, count) : row_range(g.b, begin, count);
  return g;
}

/// dy W of a large head: in one piece the library reaches a third of its speed there.
bool has_long_sum(const GemmArgs& g) { return inner(g) > long_k && !g.transpose_b; }

/// Whether sums are formed in a f32 matrix beside c, so that they are rounded once.
bool sums_apart(const GemmArgs& g) { return has_long_sum(g) && g.c.dtype == DType::bf16; }
std::size_t bytes_apart(const GemmArgs& g) {
  return sums_apart(g) ? (static_cast<std::size_t>(g.c.rows * g.c.cols) * sizeof(float) + 63) / 64 * 64 : 0;
}

/// Calls f for the product in blocks of the sum: all of it, or k_block at a time, which then stay in the cache for the
/// tiles that share them.
template <class F>
void for_blocks_of_sum(GemmArgs g, F f) {
  Index step = has_long_sum(g) ? k_block : inner(g);
  for (Index k = 0; k < inner(g); k += step) {
    f(inner_range(g, k, std::min(step, inner(g) - k)));
    g.beta = 1;
    g.bias = nullptr;
  }
}

GemmArgs with_sums_at(GemmArgs g, void* memory) {
  g.c = {memory, DType::f32, g.c.rows, g.c.cols, g.c.cols};
  g.beta = 0;
  return g;
}

Index slots(Device& device, const Cut& cut) { return std::min<Index>(device.threads().size(), cut.count()); }

/// Scratch space of one thread: the most that a tile asks for. Tiles differ only in the last row and column.
std::size_t tile_scratch(const GemmArgs& g, const Cut& cut) {
  if (g.c.dtype == DType::f64) return 0;
  std::size_t most = 0;
  for (Index row : {Index{0}, cut.row_tiles - 1})
    for (Index col : {Index{0}, cut.col_tiles - 1})
      most = std::max(most, library_scratch(cut.tile(g, row + col * cut.row_tiles)));
  return (most + 63) / 64 * 64;
}

void multiply_block(Device& device, const GemmArgs& g, void* workspace) {
  Cut cut(g.c);
  std::size_t scratch = tile_scratch(g, cut);
  std::atomic<Index> next{0};
  device.threads().parallel_for(slots(device, cut), [&](Index slot) {
    void* own = static_cast<std::byte*>(workspace) + static_cast<std::size_t>(slot) * scratch;
    for (Index i; (i = next.fetch_add(1)) < cut.count();) {
      GemmArgs tile = cut.tile(g, i);
      g.c.dtype == DType::f64 ? blas_gemm_f64(tile) : library_gemm(tile, own);
    }
  });
}

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
  std::size_t most = 0;
  for_blocks_of_sum(sums_apart(g) ? with_sums_at(g, nullptr) : g, [&](const GemmArgs& block) {
    Cut cut(block.c);
    most = std::max(most, tile_scratch(block, cut) * static_cast<std::size_t>(slots(device, cut)));
  });
  return bytes_apart(g) + most;
}

void multiply(Device& device, const GemmArgs& g, void* workspace) {
  if (g.c.rows == 0 || g.c.cols == 0) return;
  void* scratch = static_cast<std::byte*>(workspace) + bytes_apart(g);
  GemmArgs product = sums_apart(g) ? with_sums_at(g, workspace) : g;
  for_blocks_of_sum(product, [&](const GemmArgs& block) { multiply_block(device, block, scratch); });
  if (sums_apart(g)) accumulate(device, product.c, 1, g.c, g.beta);
}

}  // namespace loragrad::cpu

#include "ops/cpu/gemm_tiles.h"

#include <algorithm>
#include <limits>

#include "ops/cpu/gemm_library.h"
#include "ops/cpu/gemm_split.h"
#include "ops/cpu/scratch.h"
#include "ops/cpu/slots.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;

// The library copies each tile's operands into its own order, the weight's once per tile of rows: tall tiles pay for
// it least. More tiles keep more threads busy. Measured in docs/design/005.
constexpr Index tallest = 512, lowest = 128, enough_tiles = 8;
// Rows of a weight as it lies that are this long are on a page each: there the copies go by fewer, longer pieces.
constexpr Index long_row_bytes = 4096, narrowest_of_long = 512;
// Tiles of whole rows: their heights; as many rows more is what copying the weight takes; from how many rows on they
// pay, and from how many columns and terms: below, it is an adapter's product.
constexpr Index lowest_whole = 32, copying = 12, many_rows = 512, narrow = 64;

Index parts(Index n, Index size) { return (n + size - 1) / size; }
Index rounded(Index n, Index step) { return std::max(step, parts(n, step) * step); }

bool has_long_rows(const GemmArgs& g) {
  return !g.transpose_b && g.b.cols * static_cast<Index>(size_of(g.b.dtype)) >= long_row_bytes;
}

bool is_of_bf16_tiles(const GemmArgs& g) { return g.b.dtype == DType::bf16 && library_has_bf16_tiles(); }

/// Whether a row's bits depend on nothing beside it: then tiles may be as high as suits the number of threads.
bool rows_stand_alone(const GemmArgs& g) {
  GemmArgs tile = tile_of(g, 0, std::min(tallest_whole, g.c.rows), 0, g.c.cols);
  return is_split(g) ? split_rows_stand_alone(tile) : library_rows_stand_alone(tile);
}

/// Whether c is cut into tiles of whole rows: where nothing is strided, the library has its fastest kernels. Not for weights
/// as they lie that are f32 or, but with AMX, have long rows: measured slower (docs/design/005).
bool takes_whole_rows(const GemmArgs& g, Index products) {
  if (g.c.dtype == DType::f64 || g.transpose_a || (g.c.rows < many_rows && products == 1)) return false;
  if (std::min(g.c.cols, inner(g)) < narrow) return false;
  bool dense = g.a.stride == g.a.cols && g.b.stride == g.b.cols && g.c.stride == g.c.cols;
  if (!dense || is_of_bf16_tiles(g)) return dense;
  return (g.transpose_b || (g.b.dtype == DType::bf16 && !has_long_rows(g))) && rows_stand_alone(g);
}

/// The height of tiles of whole rows with which so many products are done first.
Index height_of_whole_rows(Index rows, Index products, Index threads) {
  Index best = tallest_whole, least = std::numeric_limits<Index>::max();
  for (Index count = parts(rows, tallest_whole); count <= parts(rows, lowest_whole); ++count) {
    Index height = rounded(parts(rows, count), 16);
    Index time = parts(parts(rows, height) * products, threads) * (height + copying);
    if (time < least) best = height, least = time;
  }
  return best;
}

/// Of tiles of whole rows that do not stand alone.
Index height_by_shape(Index rows, Index products) {
  Index enough = std::min(parts(enough_tiles, products), parts(rows, lowest));
  return rounded(parts(rows, std::max(parts(rows, tallest_whole), enough)), 16);
}

/// c in tiles of about equal size: rows in multiples of 16 but for the last, columns in multiples of 64.
struct Cut {
  Cut(const GemmArgs& g, Index products, Index threads) : rows{g.c.rows, 1}, cols{g.c.cols, 1} {
    const Matrix& c = g.c;
    if (takes_whole_rows(g, products)) {
      cols.size = c.cols;
      rows.size =
          rows_stand_alone(g) ? height_of_whole_rows(c.rows, products, threads) : height_by_shape(c.rows, products);
    } else {
      Index wanted = std::max<Index>(1, 16 / std::max<Index>(1, parts(c.rows, tallest)));
      bool has_dear_copies = has_long_rows(g) || is_of_bf16_tiles(g);
      cols.size = std::max(has_dear_copies ? narrowest_of_long : narrowest, rounded(parts(c.cols, wanted), 64));
      // f32 weights as they lie are as fast in lower tiles, whose copies take less memory.
      Index height = !g.transpose_b && g.b.dtype == DType::f32 ? tallest / 2 : tallest,
            across = cols.count() * products;
      while (height > lowest && parts(c.rows, height) * across < enough_tiles) height /= 2;
      rows.size = rounded(parts(c.rows, parts(c.rows, height)), 16);
    }
  }
  Index count() const { return rows.count() * cols.count(); }
  GemmArgs tile(const GemmArgs& g, Index i) const {
    Index row = i % rows.count(), col = i / rows.count();
    return tile_of(g, rows.begin(row), rows.length(row), cols.begin(col), cols.length(col));
  }
  Pieces rows, cols;
};

/// The tiles of several products, of which all but the last have one shape.
class Tiles {
 public:
  Tiles(Device& device, std::span<const GemmArgs> products)
      : products_(products), threads_(threads_of(device).size()), first_(cut(0)), last_(cut(products.size() - 1)) {}
  Index count() const { return (size() - 1) * first_.count() + last_.count(); }
  GemmArgs operator[](Index i) const {
    Index product = std::min(i / first_.count(), size() - 1);
    const Cut& cut = product < size() - 1 ? first_ : last_;
    return cut.tile(products_[static_cast<std::size_t>(product)], i - product * first_.count());
  }
  /// Scratch space of one thread: the most that a tile asks for. Tiles differ only in the last row and column.
  std::size_t scratch() const {
    std::size_t most = std::max(scratch_of(products_.front(), first_), scratch_of(products_.back(), last_));
    return whole_lines(most);
  }

 private:
  Index size() const { return static_cast<Index>(products_.size()); }
  Cut cut(std::size_t i) const { return Cut(products_[i], size(), threads_); }
  static std::size_t scratch_of(const GemmArgs& g, const Cut& cut) {
    std::size_t most = 0;
    for (Index row : {Index{0}, cut.rows.count() - 1})
      for (Index col : {Index{0}, cut.cols.count() - 1})
        most = std::max(most, here_scratch(cut.tile(g, row + col * cut.rows.count())));
    return most;
  }
  std::span<const GemmArgs> products_;
  Index threads_;
  Cut first_, last_;
};

bool is_empty(std::span<const GemmArgs> products) { return products[0].c.rows == 0 || products[0].c.cols == 0; }

}  // namespace

GemmArgs tile_of(GemmArgs g, Index row, Index rows, Index col, Index cols) {
  g.c = column_range(row_range(g.c, row, rows), col, cols);
  g.a = g.transpose_a ? column_range(g.a, row, rows) : row_range(g.a, row, rows);
  g.b = g.transpose_b ? row_range(g.b, col, cols) : column_range(g.b, col, cols);
  if (g.bias)
    g.bias = static_cast<const std::byte*>(g.bias) + static_cast<std::size_t>(col) * (g.c.dtype == DType::f64 ? 8 : 4);
  return g;
}

std::size_t here_scratch(const GemmArgs& g) {
  if (g.c.dtype == DType::f64) return 0;
  return is_split(g) ? gemm_split_scratch(g) : library_scratch(g);
}
void multiply_here(const GemmArgs& g, void* scratch) {
  if (g.c.dtype == DType::f64) return blas_gemm_f64(g);
  is_split(g) ? gemm_split(g, scratch) : library_gemm(g, scratch);
}

std::size_t multiply_workspace(Device& device, std::span<const GemmArgs> products) {
  if (is_empty(products)) return 0;
  Tiles tiles(device, products);
  return tiles.scratch() * static_cast<std::size_t>(slots(device, tiles.count()));
}

void multiply(Device& device, std::span<const GemmArgs> products, void* workspace) {
  if (is_empty(products)) return;
  Tiles tiles(device, products);
  run_in_slots(device, tiles.count(), tiles.scratch(), workspace,
               [&](Index i, void* scratch) { multiply_here(tiles[i], scratch); });
}

}  // namespace loragrad::cpu

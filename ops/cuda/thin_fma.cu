#include "ops/cuda/dropout_mask.h"
#include "ops/cuda/thin_parts.h"
#include "ops/cuda/units.h"

// Thin products in f32 and f64: tiles of c whose thin side is about as narrow as the rank, 4 x 4 elements a thread, over
// operands that are transposed and dropped out on their way to shared memory.
namespace loragrad::cuda {
namespace {

constexpr int threads = 256, depth = 16, of_thread = 4;
constexpr std::int64_t wanted_blocks = 2 * 132;  // of an H100's multiprocessors
constexpr std::int64_t least_terms =
    most_rank;  // of a block: so a sum over a rank, whose mask comes behind it, is whole

/// An operand as tiles are taken from it, [terms of the sum, rows or columns of c].
template <class X>
struct Source {
  Operand<X> values;
  std::int64_t rows, cols;
  bool aligned, terms_in_rows;
  MaskArgs mask;

  Source(const ConstMatrix& m, bool terms_in_rows, const MaskArgs& mask)
      : values(m),
        rows(m.rows),
        cols(m.cols),
        aligned(all_aligned({m}, mask_group)),
        terms_in_rows(terms_in_rows),
        mask(mask) {}

  /// tile[term][i] of `size` i, rows of size + of_thread; zeroes beyond the matrix.
  template <int size>
  __device__ void copy(X* tile, std::int64_t term, std::int64_t first) const {
    // The matrix's rows and columns, and groups of eight columns in the tile's part of it.
    std::int64_t row0 = terms_in_rows ? first : term, col0 = terms_in_rows ? term : first;
    int groups = (terms_in_rows ? depth : size) / mask_group, step = terms_in_rows ? size + of_thread : 1;
    for (int i = static_cast<int>(threadIdx.x); i < size * depth / mask_group; i += threads) {
      int r = i / groups, c = i % groups * mask_group;
      X group[mask_group] = {};
      read(group, row0 + r, col0 + c);
      X* to = tile + (terms_in_rows ? c * (size + of_thread) + r : r * (size + of_thread) + c);
#pragma unroll
      for (int j = 0; j < mask_group; ++j) to[j * step] = group[j];
    }
  }

 private:
  __device__ void read(X (&group)[mask_group], std::int64_t row, std::int64_t col) const {
    if (row >= rows || col >= cols) return;
    auto left = static_cast<int>(min(cols - col, std::int64_t{mask_group}));
    Unit<X, mask_group> unit = aligned && left == mask_group
                                   ? values.template load<mask_group>(WholeUnit{row, col})
                                   : values.template load<mask_group>(PartUnit{row, col, left});
#pragma unroll
    for (int j = 0; j < mask_group; ++j) group[j] = unit.template get<X>(j);
    apply_mask(mask, row, col / mask_group, group);
  }
};

template <class X>
struct Product {
  Source<X> a, b;
  std::int64_t terms, piece;
  MaskArgs mask;  // of the product
  ThinResult<X> result;
};

/// Tiles of c of threads / across x across threads.
template <int across>
constexpr int tile_columns = of_thread* across;
template <int across>
constexpr int tile_rows = of_thread* threads / across;

template <class X>
__device__ inline void read_four(X (&four)[of_thread], const X* from) {
#pragma unroll
  for (int i = 0; i < of_thread; i += Pack<X>::size) {
    Pack<X> pack = *reinterpret_cast<const Pack<X>*>(from + i);
#pragma unroll
    for (int j = 0; j < Pack<X>::size; ++j) four[i + j] = pack.values[j];
  }
}

template <class X, int across>
__global__ void __launch_bounds__(threads) fma_kernel(Product<X> p) {
  constexpr int rows = tile_rows<across>, columns = tile_columns<across>;
  auto blocks_across = static_cast<unsigned>((p.result.cols + columns - 1) / columns);
  std::int64_t col0 = std::int64_t{blockIdx.x % blocks_across} * columns;
  std::int64_t row0 = std::int64_t{blockIdx.x / blocks_across} * rows;
  std::int64_t begin = blockIdx.y * p.piece, end = min(begin + p.piece, p.terms);
  int row = static_cast<int>(threadIdx.x) / across * of_thread,
      col = static_cast<int>(threadIdx.x) % across * of_thread;
  auto* tile_a = shared_memory<X>();
  X* tile_b = tile_a + depth * (rows + of_thread);
  X sums[of_thread][of_thread] = {};
  for (std::int64_t term = begin; term < end; term += depth) {
    p.a.template copy<rows>(tile_a, term, row0);
    p.b.template copy<columns>(tile_b, term, col0);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < depth; ++k) {
      X a[of_thread], b[of_thread];
      read_four(a, tile_a + k * (rows + of_thread) + row);
      read_four(b, tile_b + k * (columns + of_thread) + col);
#pragma unroll
      for (int i = 0; i < of_thread; ++i)
#pragma unroll
        for (int j = 0; j < of_thread; ++j) sums[i][j] += a[i] * b[j];
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < of_thread; ++i) {
    std::int64_t token = row0 + row + i, first = col0 + col;
    if (p.mask.threshold > 0 && token < p.result.rows) {
      MaskDraws draws(p.mask, token, first / mask_group);
      bool upper = first % mask_group != 0;  // of the group's halves
#pragma unroll
      for (int j = 0; j < of_thread; ++j)
        if ((upper ? draws[of_thread + j] : draws[j]) < p.mask.threshold) sums[i][j] = 0;
    }
    p.result.put(blockIdx.y, token, first, sums[i]);
  }
}

/// Threads across a tile of c, by its thin side.
int across_of(const GemmArgs& g) { return g.c.cols <= 16 ? 4 : g.c.rows <= 16 ? 64 : 16; }

ThinSplit split_of(const GemmArgs& g) {
  std::int64_t columns = of_thread * across_of(g), rows = of_thread * of_thread * threads / columns;
  std::int64_t blocks = ceil_div(g.c.rows, rows) * ceil_div(g.c.cols, columns);
  return thin_split(inner(g), depth, least_terms, blocks, wanted_blocks);
}

template <class X, int across>
void run(Device& device, const Product<X>& p, const ThinSplit& split) {
  std::int64_t blocks = ceil_div(p.result.rows, tile_rows<across>) * ceil_div(p.result.cols, tile_columns<across>);
  std::size_t shared = depth * (tile_rows<across> + tile_columns<across> + 2 * of_thread) * sizeof(X);
  dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(split.count));
  launch(device, fma_kernel<X, across>, grid, dim3(threads), shared, p);
}

template <class X>
void run(Device& device, const GemmArgs& g, void* memory) {
  ThinSplit split = split_of(g);
  Scratch scratch(memory);
  MaskArgs mask = mask_args(g.dropout);
  auto mask_of = [&](Dropped what) { return g.dropped == what ? mask : MaskArgs(); };
  GemmArgs scaled = g.dropped == Dropped::product ? with_mask_scale(g, mask) : g;
  Product<X> p{.a = Source<X>(g.a, !g.transpose_a, mask_of(Dropped::a)),
               .b = Source<X>(g.b, g.transpose_b, mask_of(Dropped::b)),
               .terms = inner(g),
               .piece = split.piece,
               .mask = mask_of(Dropped::product),
               .result = ThinResult<X>(scaled, split.count, scratch)};
  int across = across_of(g);
  if (across == 4)
    run<X, 4>(device, p, split);
  else if (across == 16)
    run<X, 16>(device, p, split);
  else
    run<X, 64>(device, p, split);
  ThinSums<X> sums;
  sums.results[0] = p.result;
  add_parts(device, sums, 1, split);
}

}  // namespace

std::size_t thin_fma_scratch(const GemmArgs& g) {
  Scratch scratch(nullptr);
  std::int64_t count = split_of(g).count;
  g.a.dtype == DType::f64 ? void(ThinResult<double>(g, count, scratch)) : void(ThinResult<float>(g, count, scratch));
  return scratch.used();
}

void thin_fma(Device& device, const GemmArgs& g, void* scratch) {
  if (g.c.rows == 0 || g.c.cols == 0) return;
  g.a.dtype == DType::f64 ? run<double>(device, g, scratch) : run<float>(device, g, scratch);
}

}  // namespace loragrad::cuda

#include "ops/cuda/thin_parts.h"
#include "ops/cuda/thin_tiles.h"

// c [T, r] = alpha drop(a) op(b): a block has some rows of a and some of its columns, which pass through shared memory
// once, for all members; each member has warps of its own, one for 16 rows, and drops its own elements in registers.
namespace loragrad::cuda {
namespace {

constexpr int rows_of_block = 64, row_warps = rows_of_block / 16;
constexpr int depth = 64;                          // columns of a at a time
constexpr int stages = 4;                          // of a pipeline: the tile that is used, and those that are under way
constexpr int most_width = 128;                    // ranks of a block's members together
constexpr std::int64_t wanted_blocks = 3 * 132;    // of an H100's multiprocessors
constexpr std::int64_t least_columns = 2 * depth;  // of a block

struct Member {
  ThinSource b;
  MaskArgs mask;
  ThinResult<float> result;
};
struct Down {
  ThinSource a;
  std::int64_t piece;  // columns of a block
  int groups;          // of members that share a block
  int count;
  Member members[most_together];
};

/// Members' columns of c: 8 for each of `tiles`.
template <int tiles, bool transposed>
struct Shape {
  static constexpr int width = 8 * tiles, in_group = std::min<int>(most_together, most_width / width);
  static constexpr int threads = 32 * row_warps * in_group;
  // Of b [r, D] `width` rows of `depth` columns, of b [D, r] `depth` rows of `width` columns.
  static constexpr int a_size = rows_of_block * depth, b_size = width * depth;
  static constexpr int stage_size(int members) { return a_size + members * b_size; }
  /// Where chunk c of row r of b [D, r] stands: one chunk of eight rows is in different banks.
  static __device__ int place_in_b(int r, int c) {
    constexpr int across = tiles < 8 ? tiles : 8;
    return r * width + (c ^ (r % 8 * across / 8)) * 8;
  }
};

/// Where chunk c of row r stands in a tile of `depth` columns: four chunks of two rows are in different banks.
__device__ inline int place_in_tile(int r, int c) { return r * depth + (c ^ ((r & 1) << 2)) * 8; }

template <int tiles, bool transposed>
__global__ void __launch_bounds__(Shape<tiles, transposed>::threads, 1) down_kernel(Down p) {
  using S = Shape<tiles, transposed>;
  auto group = static_cast<int>(blockIdx.x) % p.groups;
  std::int64_t row0 = std::int64_t{blockIdx.x} / p.groups * rows_of_block;
  std::int64_t col0 = blockIdx.y * p.piece, end = min(col0 + p.piece, p.a.cols);
  auto steps = static_cast<int>((end - col0 + depth - 1) / depth);
  int first = group * S::in_group, members = min(S::in_group, p.count - first);

  auto warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  int g = lane / 4, t = lane % 4, slice = warp / row_warps, tile_row = warp % row_warps * 16 + g;
  bool works = slice < members;
  const Member& own = p.members[works ? first + slice : first];
  ThinMask mask(own.mask);
  ThinToken tokens[2];
#pragma unroll
  for (int i = 0; i < 2; ++i)
    if (mask.on() && row0 + tile_row + 8 * i < p.a.rows) tokens[i] = mask.token(row0 + tile_row + 8 * i);

  auto* memory = shared_memory<bf16>();
  auto stage = [&](int step) { return memory + step % stages * S::stage_size(members); };
  auto fill = [&](int step) {
    bf16* to = stage(step);
    std::int64_t k = col0 + step * depth;
    copy_tile(p.a, row0, k, rows_of_block, depth / 8, [&](int r, int c) { return to + place_in_tile(r, c); });
    for (int m = 0; m < members; ++m) {
      const ThinSource& b = p.members[first + m].b;
      bf16* to_b = to + S::a_size + m * S::b_size;
      if constexpr (transposed)
        copy_tile(b, 0, k, S::width, depth / 8, [&](int r, int c) { return to_b + place_in_tile(r, c); });
      else
        copy_tile(b, k, 0, depth, S::width / 8, [&](int r, int c) { return to_b + S::place_in_b(thin_place(r), c); });
    }
  };

  float sums[tiles][4] = {};
  auto multiply = [&](int step) {
    const bf16* tile = stage(step);
    const bf16* tile_b = tile + S::a_size + slice * S::b_size;
#pragma unroll
    for (int half = 0; half < depth / 32; ++half) {
      std::uint32_t x[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) read_chunk(x[i], tile + place_in_tile(tile_row + 8 * i, 4 * half + t));
      if (mask.on()) {
        std::int64_t chunk = (col0 + step * depth) / 8 + 4 * half + t;
#pragma unroll
        for (int i = 0; i < 2; ++i) mask.drop(x[i], tokens[i], chunk);
      }
      const std::uint32_t a[2][4] = {{x[0][0], x[1][0], x[0][1], x[1][1]}, {x[0][2], x[1][2], x[0][3], x[1][3]}};
#pragma unroll
      for (int i = 0; i < tiles; ++i) {
        std::uint32_t words[4];
        if constexpr (transposed)
          read_chunk(words, tile_b + place_in_tile(8 * i + g, 4 * half + t));
        else
          load_matrices_transposed(words, tile_b + S::place_in_b(32 * half + lane, i));
        const std::uint32_t b[2][2] = {{words[0], words[1]}, {words[2], words[3]}};
        mma_16x8x16(sums[i], a[0], b[0]);
        mma_16x8x16(sums[i], a[1], b[1]);
      }
    }
  };

  run_stages<stages>(steps, fill, [&](int step) {
    if (works) multiply(step);
  });
  if (!works) return;
#pragma unroll
  for (int i = 0; i < tiles; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float pair[2] = {sums[i][2 * half], sums[i][2 * half + 1]};
      own.result.put(blockIdx.y, row0 + tile_row + 8 * half, 8 * i + 2 * t, pair);
    }
}

ThinSplit split_of(const GemmArgs& g) {
  return thin_split(g.a.cols, depth, least_columns, ceil_div(g.a.rows, rows_of_block), wanted_blocks);
}

template <int tiles, bool transposed>
void run(Device& device, const Down& down, const ThinSplit& split) {
  using S = Shape<tiles, transposed>;
  Down p = down;
  p.groups = static_cast<int>(ceil_div(p.count, S::in_group));
  int members = std::min(p.count, S::in_group);
  dim3 grid(static_cast<unsigned>(ceil_div(p.a.rows, rows_of_block) * p.groups), static_cast<unsigned>(split.count));
  dim3 block(static_cast<unsigned>(32 * row_warps * members));
  launch(device, down_kernel<tiles, transposed>, grid, block, stages * S::stage_size(members) * sizeof(bf16), p);
}

template <bool transposed>
void run(Device& device, const Down& p, const ThinSplit& split, std::int64_t rank) {
  if (rank <= 16) return run<2, transposed>(device, p, split);
  if (rank <= 32) return run<4, transposed>(device, p, split);
  if (rank <= 64) return run<8, transposed>(device, p, split);
  run<16, transposed>(device, p, split);
}

}  // namespace

std::size_t thin_down_scratch(ThinProducts products) {
  Scratch scratch(nullptr);
  for (const GemmArgs& g : products) ThinResult<float>(g, split_of(g).count, scratch);
  return scratch.used();
}

void thin_down(Device& device, ThinProducts products, void* memory) {
  const GemmArgs& first = products.front();
  ThinSplit split = split_of(first);
  Scratch scratch(memory);
  Down p{.a = ThinSource(first.a), .piece = split.piece, .groups = 1, .count = 0, .members = {}};
  ThinSums<float> sums;
  std::int64_t rank = 0;
  for (const GemmArgs& g : products) {
    MaskArgs mask = mask_args(g.dropout);
    ThinResult<float> result(with_mask_scale(g, mask), split.count, scratch);
    sums.results[p.count] = result;
    p.members[p.count++] = {ThinSource(g.b), mask, result};
    rank = std::max(rank, g.c.cols);
  }
  if (first.c.rows == 0 || rank == 0) return;
  first.transpose_b ? run<true>(device, p, split, rank) : run<false>(device, p, split, rank);
  add_parts(device, sums, products.size(), split);
}

}  // namespace loragrad::cuda

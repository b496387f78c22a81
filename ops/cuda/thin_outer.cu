#include <vector>

#include "ops/cuda/thin_parts.h"
#include "ops/cuda/thin_tiles.h"

// c [r, D] or [D, r] = alpha sum over tokens of thin [T, r] x wide [T, D]: a block has some columns of the wide side and
// some tokens, which pass through shared memory once for all members. A warp has 16 of every 32 tokens, 64 columns and
// one member's columns of the thin side, up to 64; it drops its member's elements in registers.
namespace loragrad::cuda {
namespace {

constexpr int depth = 32;  // tokens at a time: 16 for each of two warps
constexpr int columns = 128, warp_columns = 64;
constexpr int stages = 4;  // of a pipeline: the tile that is used, and those that are under way
constexpr int most_slices = 2 * most_together;
constexpr int most_width = 128;                  // of the slices that share a block
constexpr std::int64_t wanted_blocks = 2 * 132;  // of an H100's multiprocessors
constexpr std::int64_t least_tokens = 2 * depth;

/// Some columns of a member's thin side.
struct Slice {
  ThinSource thin, tokens;
  MaskArgs mask;
  ThinResult<float> result;
};
struct Outer {
  ThinSource wide;
  std::int64_t piece;  // tokens of a block
  bool wide_first;     // c is [D, r]
  int groups;          // of slices that share a block
  int count;
  Slice slices[most_slices];
};

/// Of slices of `width` columns.
template <int width>
struct Shape {
  static constexpr int in_group = std::min<int>(most_together, most_width / width);
  static constexpr int threads_of_slice = 32 * 2 * (columns / warp_columns), threads = threads_of_slice * in_group;
  static constexpr int wide_size = depth * columns;
  static constexpr int thin_row = width + 8;  // padded so that eight rows' chunks are in different banks
  static constexpr int thin_size = depth * thin_row, tokens_size = depth * thin_token_size;
  static constexpr int stage_size(int slices) { return wide_size + slices * (thin_size + tokens_size); }
  /// Sums of a slice as they are put together, [width, warp_columns] twice.
  static constexpr int sums_size = width * columns;
  static std::size_t shared(int slices) {
    return std::max(stages * static_cast<std::size_t>(stage_size(slices)) * sizeof(bf16),
                    static_cast<std::size_t>(slices * sums_size) * sizeof(float));
  }
};

/// Where chunk c of a token stands: two neighbouring chunks of four tokens are in different banks.
__device__ inline int place_in_tile(int token, int c) { return token * columns + (c ^ ((token & 3) << 1)) * 8; }

/// Where the c-th four of row r's sums stand: those that a warp writes at once are in different banks.
__device__ inline int place_of_sums(int r, int c) { return r * warp_columns + (c ^ ((r & 1) << 1) ^ (c >> 3)) * 4; }

template <int width>
__global__ void __launch_bounds__(Shape<width>::threads, 1) outer_kernel(Outer p) {
  using S = Shape<width>;
  auto group = static_cast<int>(blockIdx.x) % p.groups;
  std::int64_t col0 = std::int64_t{blockIdx.x} / p.groups * columns;
  std::int64_t token0 = blockIdx.y * p.piece, end = min(token0 + p.piece, p.wide.rows);
  auto steps = static_cast<int>((end - token0 + depth - 1) / depth);
  int first = group * S::in_group, slices = min(S::in_group, p.count - first);

  auto warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  int g = lane / 4, t = lane % 4, half = warp % 2, across = warp / 2 % 2, slice = warp / 4;
  bool works = slice < slices;
  ThinMask mask(p.slices[works ? first + slice : first].mask);

  auto* memory = shared_memory<bf16>();
  auto stage = [&](int step) { return memory + step % stages * S::stage_size(slices); };
  auto fill = [&](int step) {
    bf16* to = stage(step);
    std::int64_t token = token0 + step * depth;
    copy_tile(p.wide, token, col0, depth, columns / 8, [&](int r, int c) { return to + place_in_tile(r, c); });
    to += S::wide_size;
    for (int s = first; s < first + slices; ++s, to += S::thin_size + S::tokens_size) {
      const Slice& from = p.slices[s];
      copy_tile(from.thin, token, 0, depth, width / 8, [&](int r, int c) { return to + r * S::thin_row + 8 * c; });
      if (from.mask.threshold > 0)
        copy_tile(from.tokens, 0, token * thin_token_size, 1, S::tokens_size / 8,
                  [&](int, int c) { return to + S::thin_size + 8 * c; });
    }
  };

  float sums[width / 16][8][4] = {};
  auto multiply = [&](int step) {
    const bf16* tile = stage(step);
    const bf16* thin = tile + S::wide_size + slice * (S::thin_size + S::tokens_size);
    // The sum's terms 2t, 2t+1, 2t+8, 2t+9 are tokens t, t+4, t+8, t+12, and columns 8g .. 8g+7 are the g-th of eight
    // tiles: so a lane reads chunks, and pairs of tokens are made of two of them.
    std::uint32_t x[4][4], b[8][2];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int token = 16 * half + t + 4 * i, chunk = 8 * across + g;
      read_chunk(x[i], tile + place_in_tile(token, chunk));
      if (mask.on()) {
        auto* tokens = reinterpret_cast<const ThinToken*>(thin + S::thin_size);
        mask.drop(x[i], tokens[token], col0 / 8 + chunk);
      }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        std::uint32_t low = x[2 * j][i / 2], high = x[2 * j + 1][i / 2];
        b[i][j] = i % 2 ? low >> 16 | (high & 0xffff0000u) : (low & 0xffffu) | high << 16;
      }
    int token = 16 * half + lane % 8 / 2 + lane % 2 * 4 + lane / 16 * 8;
#pragma unroll
    for (int m = 0; m < width / 16; ++m) {
      std::uint32_t a[4];
      load_matrices_transposed(a, thin + token * S::thin_row + 16 * m + lane / 8 % 2 * 8);
#pragma unroll
      for (int i = 0; i < 8; ++i) mma_16x8x16(sums[m][i], a, b[i]);
    }
  };

  run_stages<stages>(steps, fill, [&](int step) {
    if (works) multiply(step);
  });
  copies_wait<0>();
  __syncthreads();

  // The two halves of the tokens meet in shared memory, from where sums are written in rows.
  auto* shared_sums = shared_memory<float>();
  for (int turn = 1; turn >= 0; --turn) {
    if (works && half == turn)
#pragma unroll
      for (int m = 0; m < width / 16; ++m)
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          // Rows g and g+8, columns 8 (2t) + j and 8 (2t+1) + j of tiles j.
          int r = 16 * m + g + i / 4 * 8, e = i / 2 % 2, j = i % 2 * 4;
          float* at =
              shared_sums + (2 * slice + across) * width * warp_columns + place_of_sums(r, 4 * t + 2 * e + i % 2);
          int of = i / 4 * 2 + e;
          float4 four{sums[m][j][of], sums[m][j + 1][of], sums[m][j + 2][of], sums[m][j + 3][of]};
          if (turn == 0) {
            float4 other = *reinterpret_cast<float4*>(at);
            four = {four.x + other.x, four.y + other.y, four.z + other.z, four.w + other.w};
          }
          *reinterpret_cast<float4*>(at) = four;
        }
    __syncthreads();
  }
  for (int i = static_cast<int>(threadIdx.x); i < slices * S::sums_size / 4; i += static_cast<int>(blockDim.x)) {
    const ThinResult<float>& result = p.slices[first + i / (S::sums_size / 4)].result;
    int of_slice = i % (S::sums_size / 4);
    auto sum = [&](int r, int col) {
      const float* from = shared_sums + (i / (S::sums_size / 4) * 2 + col / warp_columns) * width * warp_columns;
      return from[place_of_sums(r, col % warp_columns / 4) + col % 4];
    };
    if (p.wide_first) {
      int col = of_slice % columns, r = of_slice / columns * 4;
      const float four[4] = {sum(r, col), sum(r + 1, col), sum(r + 2, col), sum(r + 3, col)};
      result.put(blockIdx.y, col0 + col, r, four);
    } else {
      int col = of_slice % (columns / 4) * 4, r = of_slice / (columns / 4);
      const float four[4] = {sum(r, col), sum(r, col + 1), sum(r, col + 2), sum(r, col + 3)};
      result.put(blockIdx.y, r, col0 + col, four);
    }
  }
}

ConstMatrix wide_of(const GemmArgs& g) { return wide_is_b(g) ? ConstMatrix(g.b) : g.a; }
ConstMatrix thin_of(const GemmArgs& g) { return wide_is_b(g) ? g.a : ConstMatrix(g.b); }

/// Each product as one or two with a rank of at most 64.
std::vector<GemmArgs> slices_of(ThinProducts products) {
  std::vector<GemmArgs> slices;
  for (const GemmArgs& g : products) {
    std::int64_t rank = thin_of(g).cols;
    for (std::int64_t begin = 0; begin < rank; begin += 64) {
      std::int64_t count = std::min<std::int64_t>(64, rank - begin);
      GemmArgs slice = g;
      if (wide_is_b(g)) {
        slice.a = column_range(g.a, begin, count);
        slice.c = row_range(g.c, begin, count);
      } else {
        slice.b = column_range(g.b, begin, count);
        slice.c = column_range(g.c, begin, count);
      }
      slices.push_back(slice);
    }
  }
  return slices;
}

ThinSplit split_of(const GemmArgs& g) {
  ConstMatrix wide = wide_of(g);
  return thin_split(wide.rows, depth, least_tokens, ceil_div(wide.cols, columns), wanted_blocks);
}

template <int width>
void run(Device& device, const Outer& outer, const ThinSplit& split) {
  using S = Shape<width>;
  Outer p = outer;
  p.groups = static_cast<int>(ceil_div(p.count, S::in_group));
  int slices = std::min(p.count, S::in_group);
  dim3 grid(static_cast<unsigned>(ceil_div(p.wide.cols, columns) * p.groups), static_cast<unsigned>(split.count));
  dim3 block(static_cast<unsigned>(S::threads_of_slice * slices));
  launch(device, outer_kernel<width>, grid, block, S::shared(slices), p);
}

}  // namespace

std::size_t thin_outer_scratch(ThinProducts products) {
  Scratch scratch(nullptr);
  for (const GemmArgs& g : slices_of(products)) ThinResult<float>(g, split_of(g).count, scratch);
  return scratch.used();
}

void thin_outer(Device& device, ThinProducts products, void* memory) {
  ConstMatrix wide = wide_of(products.front());
  bool wide_first = !wide_is_b(products.front());
  ThinSplit split = split_of(products.front());
  Scratch scratch(memory);
  Outer p{
      .wide = ThinSource(wide), .piece = split.piece, .wide_first = wide_first, .groups = 1, .count = 0, .slices = {}};
  ThinSums<float> sums;
  std::int64_t rank = 0;
  for (const GemmArgs& g : slices_of(products)) {
    MaskArgs mask = mask_args(g.dropout);
    ConstMatrix thin = thin_of(g);
    ThinResult<float> result(with_mask_scale(g, mask), split.count, scratch);
    sums.results[p.count] = result;
    p.slices[p.count++] = {ThinSource(thin), token_source(mask, wide.rows), mask, result};
    rank = std::max(rank, thin.cols);
  }
  if (rank == 0 || wide.cols == 0) return;
  if (rank <= 16)
    run<16>(device, p, split);
  else if (rank <= 32)
    run<32>(device, p, split);
  else
    run<64>(device, p, split);
  add_parts(device, sums, static_cast<std::size_t>(p.count), split);
}

}  // namespace loragrad::cuda

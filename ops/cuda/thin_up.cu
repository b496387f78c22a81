#include "ops/cuda/thin_parts.h"
#include "ops/cuda/thin_tiles.h"
#include "ops/cuda/units.h"

// c [T, D] += drop(alpha a op(b)): a block has all members' b for some columns of c, and a for some rows, in shared
// memory. Its warps walk down the rows on their own, 16 x 32 elements of c at a time; a lane reads and writes eight
// neighbours, which are one draw of a mask, and asks for the next before it computes.
namespace loragrad::cuda {
namespace {

constexpr int warps = 4, warp_columns = 32;
constexpr std::size_t most_shared = 99 << 10;  // of a block on every card
constexpr std::int64_t enough_blocks = 4 * 132;

struct Member {
  ThinSource a, b, tokens;
  MaskArgs mask;
  float alpha;
  int begin, steps;  // its columns of a in shared memory: a multiple of 16, and 16 a step
};
template <class C>
struct Up {
  Operand<C> c;
  std::int64_t rows, cols;
  float beta;
  bool aligned;      // units of c
  int column_warps;  // 1, 2 or 4, side by side; the others take other rows
  int rows_of_block;
  int depth;  // of all members
  int count;
  Member members[most_together];

  __host__ __device__ int columns() const { return warp_columns * column_warps; }
  // Rows in shared memory are padded by a chunk, so that eight rows' chunks are in different banks.
  __host__ __device__ int a_row() const { return depth + 8; }
  __host__ __device__ int b_row(bool transposed) const { return (transposed ? depth : columns()) + 8; }
  __host__ __device__ int b_size(bool transposed) const { return (transposed ? columns() : depth) * b_row(transposed); }
  __host__ __device__ int tokens_size() const { return rows_of_block * thin_token_size; }
  std::size_t shared(bool transposed) const {
    return static_cast<std::size_t>(b_size(transposed) + rows_of_block * a_row() + count * tokens_size()) *
           sizeof(bf16);
  }
};

/// Copies a member's b [r, D] from column `col` on, its pairs of columns where thin_place says.
__device__ inline void copy_pairs(const ThinSource& b, std::int64_t col, int rows, int columns, bf16* to, int to_row) {
  int chunks = columns / 8;
  for (int i = static_cast<int>(threadIdx.x); i < rows * chunks; i += static_cast<int>(blockDim.x)) {
    int r = i / chunks, c = i % chunks;
    uint4 chunk = b.chunk(r, col + 8 * c);
    bf16* place = to + r * to_row + thin_place(8 * c);
    *reinterpret_cast<std::uint32_t*>(place) = chunk.x;
    *reinterpret_cast<std::uint32_t*>(place + 8) = chunk.y;
    *reinterpret_cast<std::uint32_t*>(place + 16) = chunk.z;
    *reinterpret_cast<std::uint32_t*>(place + 24) = chunk.w;
  }
}

template <class C, bool transposed>
__global__ void __launch_bounds__(32 * warps) up_kernel(Up<C> p) {
  int columns = p.columns(), a_row = p.a_row(), b_row = p.b_row(transposed);
  auto blocks_across = static_cast<unsigned>((p.cols + columns - 1) / columns);
  std::int64_t col0 = std::int64_t{blockIdx.x % blocks_across} * columns;
  std::int64_t row0 = std::int64_t{blockIdx.x / blocks_across} * p.rows_of_block;
  auto* b = shared_memory<bf16>();
  bf16* a = b + p.b_size(transposed);
  bf16* tokens = a + p.rows_of_block * a_row;
  for (int m = 0; m < p.count; ++m) {
    const Member& member = p.members[m];
    copy_tile(member.a, row0, 0, p.rows_of_block, 2 * member.steps,
              [&](int r, int c) { return a + r * a_row + member.begin + 8 * c; });
    if constexpr (transposed)
      copy_tile(member.b, col0, 0, columns, 2 * member.steps,
                [&](int r, int c) { return b + thin_place(r) * b_row + member.begin + 8 * c; });
    else
      copy_pairs(member.b, col0, 16 * member.steps, columns, b + member.begin * b_row, b_row);
  }
  for (int m = 0; m < p.count; ++m)
    if (p.members[m].mask.threshold > 0)
      copy_tile(p.members[m].tokens, 0, row0 * thin_token_size, 1, p.tokens_size() / 8,
                [&](int, int c) { return tokens + m * p.tokens_size() + 8 * c; });
  copies_commit();

  auto warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  int across = warp % p.column_warps * warp_columns;
  std::int64_t col = col0 + across + lane % 4 * 8;
  auto count = static_cast<int>(min(max(p.cols - col, std::int64_t{0}), std::int64_t{8}));
  bool whole = p.aligned && count == 8;
  auto load = [&](std::int64_t row) {
    Unit<C, 8> unit{};
    if (p.beta == 0 || row >= p.rows) return unit;
    return whole ? p.c.template load<8>(WholeUnit{row, col}) : p.c.template load<8>(PartUnit{row, col, count});
  };

  int step = warps / p.column_warps * 16;
  int first = warp / p.column_warps * 16;
  Unit<C, 8> next[2] = {load(row0 + first + lane / 4), load(row0 + first + lane / 4 + 8)};
  copies_wait<0>();
  __syncthreads();
  for (int r = first; r < p.rows_of_block && row0 + r < p.rows; r += step) {
    std::int64_t row = row0 + r + lane / 4;
    float values[2][8] = {};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (p.beta != 0) add_scaled(values[i], p.beta, next[i]);
      if (r + step < p.rows_of_block) next[i] = load(row + step + 8 * i);
    }
    for (int m = 0; m < p.count; ++m) {
      const Member& member = p.members[m];
      float sums[4][4] = {};
      for (int k = member.begin; k < member.begin + 16 * member.steps; k += 16) {
        std::uint32_t words_a[4];
        load_matrices(words_a, a + (r + lane % 16) * a_row + k + lane / 16 * 8);
#pragma unroll
        for (int i = 0; i < 4; i += 2) {
          std::uint32_t words[4];
          int n = across + 8 * (i + lane / 16), k_half = lane / 8 % 2 * 8;
          if constexpr (transposed)
            load_matrices(words, b + (n + lane % 8) * b_row + k + k_half);
          else
            load_matrices_transposed(words, b + (k + k_half + lane % 8) * b_row + n);
          const std::uint32_t b0[2] = {words[0], words[1]}, b1[2] = {words[2], words[3]};
          mma_16x8x16(sums[i], words_a, b0);
          mma_16x8x16(sums[i + 1], words_a, b1);
        }
      }
      ThinMask mask(member.mask);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        std::uint32_t keep[4] = {~0u, ~0u, ~0u, ~0u};
        auto* of_member = reinterpret_cast<const ThinToken*>(tokens + m * p.tokens_size());
        if (mask.on()) mask.draw(keep, of_member[r + lane / 4 + 8 * i], col / 8);
#pragma unroll
        for (int j = 0; j < 8; ++j)
          values[i][j] += keep[j / 2] >> j % 2 * 16 & 1 ? member.alpha * sums[j / 2][2 * i + j % 2] : 0.0f;
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (row + 8 * i >= p.rows) continue;
      if (whole)
        p.c.store(WholeUnit{row + 8 * i, col}, values[i]);
      else
        p.c.store(PartUnit{row + 8 * i, col, count}, values[i]);
    }
  }
}

int depth_of(const GemmArgs& g) { return static_cast<int>(ceil_div(inner(g), 16) * 16); }

template <class C, bool transposed>
void run(Device& device, ThinProducts products) {
  const GemmArgs& first = products.front();
  Up<C> p{.c = Operand<C>(first.c),
          .rows = first.c.rows,
          .cols = first.c.cols,
          .beta = static_cast<float>(first.beta),
          .aligned = all_aligned({first.c}, 8),
          .column_warps = 0,
          .rows_of_block = 0,
          .depth = 0,
          .count = 0,
          .members = {}};
  for (const GemmArgs& g : products) {
    MaskArgs mask = mask_args(g.dropout);
    auto alpha = static_cast<float>(with_mask_scale(g, mask).alpha);
    p.members[p.count++] = {ThinSource(g.a), ThinSource(g.b), token_source(mask, p.rows), mask, alpha,
                            p.depth,         depth_of(g) / 16};
    p.depth += depth_of(g);
  }
  auto blocks = [&] { return ceil_div(p.rows, p.rows_of_block) * ceil_div(p.cols, p.columns()); };
  for (auto [rows, column_warps] : {std::pair{128, 4}, {64, 4}, {64, 2}, {64, 1}, {32, 1}}) {
    p.rows_of_block = rows;
    p.column_warps = column_warps;
    if (p.shared(transposed) <= most_shared && (rows == 64 || blocks() >= enough_blocks)) break;
  }
  launch(device, up_kernel<C, transposed>, dim3(static_cast<unsigned>(blocks())), dim3(32 * warps),
         p.shared(transposed), p);
}

}  // namespace

void thin_up(Device& device, ThinProducts products) {
  const GemmArgs& first = products.front();
  if (first.c.rows == 0 || first.c.cols == 0) return;
  auto run_with = [&](auto element) {
    using C = decltype(element);
    first.transpose_b ? run<C, true>(device, products) : run<C, false>(device, products);
  };
  first.c.dtype == DType::bf16 ? run_with(bf16{}) : run_with(float{});
}

}  // namespace loragrad::cuda

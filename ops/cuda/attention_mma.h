#pragma once
#include "ops/cuda/attention_tiles.h"

namespace loragrad::cuda {

/// The products of attention on tensor cores. A block owns `rows` rows of one operand, a warp `warp_rows` of them as
/// `blocks` blocks of 16, and the other operand passes by in tiles of `columns` rows. What a warp has made of a tile
/// stays in its registers: a lane's part of the scores is its part of the next product's first operand. `steps` of 16
/// features are taken without a jump: more hide more of the loads, and take more registers.
template <int dim_, int warps, int blocks, int columns_, int steps = 4>
class MmaTiles {
 public:
  using X = bf16;
  using C = float;
  static constexpr int dim = dim_, columns = columns_, threads = 32 * warps;
  static constexpr int warp_rows = 16 * blocks, rows = warps * warp_rows;
  static constexpr int row_lanes = 4, run = 2;  // lanes that hold a row together; columns that lie together in a lane
  static constexpr std::size_t exchange_bytes = 0;

  /// A lane's part of a [rows, n] matrix: the accumulators of mma_16x8x16.
  template <int n>
  struct Fragment {
    static constexpr int rows = 2 * blocks, cols = n / 4;
    float d[blocks][n / 8][4] = {};
    __device__ float& operator()(int i, int j) { return d[i / 2][j / 2][i % 2 * 2 + j % 2]; }
  };
  using Scores = Fragment<columns>;
  using Sums = Fragment<dim>;
  static __device__ int row(int i) { return first_row() + i / 2 * 16 + i % 2 * 8 + lane() / 4; }
  static __device__ int column(int j) { return lane() % 4 * 2 + distance(j); }
  static constexpr int distance(int j) { return j / 2 * 8 + j % 2; }  // of columns
  static __device__ int feature(int j) { return column(j); }
  static __device__ int first_row() { return static_cast<int>(threadIdx.x) / 32 * warp_rows; }

  __device__ explicit MmaTiles(void*) {}

  /// a bᵀ
  __device__ Scores product(const Tile<bf16, dim>& a, const Tile<bf16, dim>& b) const {
    using T = Tile<bf16, dim>;
    int left_place = T::place(first_row() + lane() % 16, lane() / 16 * 8);
    int right_place = T::place(lane() / 16 * 8 + lane() % 8, lane() / 8 % 2 * 8);
    Scores s;
#pragma unroll steps
    for (int k = 0; k < dim; k += 16) {
      std::uint32_t left[blocks][4];
#pragma unroll
      for (int m = 0; m < blocks; ++m) load_matrices(left[m], a.from(left_place, m * 16, k));
#pragma unroll
      for (int n = 0; n < columns / 8; n += 2) {
        std::uint32_t right[4];
        load_matrices(right, b.from(right_place, n * 8, k));
#pragma unroll
        for (int m = 0; m < blocks; ++m) multiply(s.d[m][n], s.d[m][n + 1], left[m], right);
      }
    }
    return s;
  }

  /// sums += p b, with p rounded to bf16
  __device__ void add_product(Sums& sums, Scores& p, const Tile<bf16, dim>& b) const {
    int right_place = Tile<bf16, dim>::place(lane() % 16, lane() / 16 * 8);
#pragma unroll
    for (int k = 0; k < columns / 8; k += 2) {
      std::uint32_t left[blocks][4];
#pragma unroll
      for (int m = 0; m < blocks; ++m)
#pragma unroll
        for (int word = 0; word < 4; ++word) {
          const float(&d)[4] = p.d[m][k + word / 2];
          left[m][word] = pack_bf16(d[word % 2 * 2], d[word % 2 * 2 + 1]);
        }
#pragma unroll
      for (int n = 0; n < dim / 8; n += 2) {
        std::uint32_t right[4];
        load_matrices_transposed(right, b.from(right_place, k * 8, n * 8));
#pragma unroll
        for (int m = 0; m < blocks; ++m) multiply(sums.d[m][n], sums.d[m][n + 1], left[m], right);
      }
    }
  }

 private:
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % 32; }
  /// Two products with neighbouring blocks of 8 columns.
  static __device__ void multiply(float (&d)[4], float (&next)[4], const std::uint32_t (&a)[4],
                                  const std::uint32_t (&b)[4]) {
    mma_16x8x16(d, a, {b[0], b[1]});
    mma_16x8x16(next, a, {b[2], b[3]});
  }
};

}  // namespace loragrad::cuda

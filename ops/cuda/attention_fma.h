#pragma once
#include "ops/cuda/attention_tiles.h"

namespace loragrad::cuda {

/// The same products as MmaTiles' in f32 and f64: 16 neighbouring lanes own `lane_rows` rows and share out the columns.
/// Scores go to the other lanes of a row through shared memory.
template <class T, int dim_, int warps, int lane_rows, int columns_>
class FmaTiles {
 public:
  using X = T;
  using C = T;
  static constexpr int dim = dim_, columns = columns_, threads = 32 * warps;
  static constexpr int warp_rows = 2 * lane_rows, rows = warps * warp_rows;
  static constexpr int row_lanes = 16, run = Pack<T>::size;
  static constexpr std::size_t exchange_bytes = Tile<T, columns>::bytes(rows);

  template <int n>
  struct Fragment {
    static constexpr int rows = lane_rows, cols = n / 16;
    T d[rows][cols] = {};
    __device__ T& operator()(int i, int j) { return d[i][j]; }
  };
  using Scores = Fragment<columns>;
  using Sums = Fragment<dim>;
  static __device__ int row(int i) { return static_cast<int>(threadIdx.x) / 16 * lane_rows + i; }
  static __device__ int column(int j) { return lane() + distance(j); }
  static constexpr int distance(int j) { return 16 * j; }  // of columns
  static __device__ int feature(int j) { return (lane() + 16 * (j / run)) * run + j % run; }
  static __device__ int first_row() { return static_cast<int>(threadIdx.x) / 32 * warp_rows; }

  __device__ explicit FmaTiles(void* exchange) : exchange_(exchange) {}

  __device__ Scores product(const Tile<T, dim>& a, const Tile<T, dim>& b) const {
    Scores s;
#pragma unroll 2
    for (int k = 0; k < dim; k += run) {
      Pack<T> right[Scores::cols];
#pragma unroll
      for (int j = 0; j < Scores::cols; ++j) right[j] = b.pack_at(column(j), k);
#pragma unroll
      for (int i = 0; i < lane_rows; ++i) {
        Pack<T> left = a.pack_at(row(i), k);
#pragma unroll
        for (int j = 0; j < Scores::cols; ++j)
#pragma unroll
          for (int e = 0; e < run; ++e) s.d[i][j] += left.values[e] * right[j].values[e];
      }
    }
    return s;
  }

  __device__ void add_product(Sums& sums, Scores& p, const Tile<T, dim>& b) const {
    __syncwarp();  // the last product has read its scores
#pragma unroll
    for (int i = 0; i < lane_rows; ++i)
#pragma unroll
      for (int j = 0; j < Scores::cols; ++j) *exchange_.at(row(i), column(j)) = p.d[i][j];
    __syncwarp();
#pragma unroll 1
    for (int k = 0; k < columns; k += run) {
      Pack<T> left[lane_rows];
#pragma unroll
      for (int i = 0; i < lane_rows; ++i) left[i] = exchange_.pack_at(row(i), k);
#pragma unroll
      for (int e = 0; e < run; ++e)
#pragma unroll
        for (int j = 0; j < Sums::cols; j += run) {
          Pack<T> right = b.pack_at(k + e, feature(j));
#pragma unroll
          for (int i = 0; i < lane_rows; ++i)
#pragma unroll
            for (int f = 0; f < run; ++f) sums.d[i][j + f] += left[i].values[e] * right.values[f];
        }
    }
  }

 private:
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % 16; }
  Tile<T, columns> exchange_;
};

}  // namespace loragrad::cuda

#pragma once
#include "ops/cuda/launch.h"
#include "ops/cuda/operands.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/scratch.h"

/// Sums over rows, in f64 and in an order that the shape alone decides: tiles of rows are summed at once, their sums
/// then from the first tile to the last.
namespace loragrad::cuda {

constexpr int column_sum_warps = 8;

/// At most 64 tiles, so that their sums stay small.
constexpr std::int64_t column_tile_rows(std::int64_t rows) { return std::max<std::int64_t>(64, ceil_div(rows, 64)); }
constexpr std::int64_t column_tiles(std::int64_t rows) { return ceil_div(rows, column_tile_rows(rows)); }

/// partial[tile, column] = the sum of f over the tile's rows. A warp has 32 units of one row, the block's warps take rows
/// in turn.  F::unit and f.add(place, sums), which adds the elements of a unit to sums.
template <class F>
__global__ void __launch_bounds__(column_sum_warps* warp_size)
    column_sums_kernel(F f, std::int64_t rows, std::int64_t cols, std::int64_t tile_rows, bool aligned,
                       double* partial) {
  constexpr int n = F::unit, width = warp_size * n;
  std::int64_t strip = std::int64_t{blockIdx.x} * width, col = strip + threadIdx.x * n;
  std::int64_t first = blockIdx.y * tile_rows, last = first + tile_rows < rows ? first + tile_rows : rows;
  double sums[n] = {};
  if (aligned && col + n <= cols) {
#pragma unroll 4
    for (std::int64_t row = first + threadIdx.y; row < last; row += column_sum_warps) f.add(WholeUnit{row, col}, sums);
  } else if (col < cols) {
    int count = cols - col < n ? static_cast<int>(cols - col) : n;
    for (std::int64_t row = first + threadIdx.y; row < last; row += column_sum_warps)
      f.add(PartUnit{row, col, count}, sums);
  }
  auto* of_warps = shared_memory<double>();
#pragma unroll
  for (int i = 0; i < n; ++i) of_warps[threadIdx.y * width + threadIdx.x * n + i] = sums[i];
  __syncthreads();
  int at = static_cast<int>(threadIdx.y * warp_size + threadIdx.x);
  if (at >= width || strip + at >= cols) return;
  double sum = 0;
  for (int warp = 0; warp < column_sum_warps; ++warp) sum += of_warps[warp * width + at];
  partial[blockIdx.y * cols + strip + at] = sum;
}

/// out += the sum of the tiles' sums.
template <class S>
__global__ void add_tiles_kernel(const double* partial, std::int64_t tiles, std::int64_t cols, S* out) {
  std::int64_t col = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (col >= cols) return;
  double sum = 0;
#pragma unroll 8
  for (std::int64_t tile = 0; tile < tiles; ++tile) sum += partial[tile * cols + col];
  out[col] = static_cast<S>(static_cast<double>(out[col]) + sum);
}

inline std::size_t column_sums_bytes(std::int64_t rows, std::int64_t cols) {
  Scratch scratch(nullptr);
  scratch.take<double>(column_tiles(rows) * cols);
  return scratch.used();
}

/// out += the sums of f over the rows of a matrix of that shape, which reads `operands`; out is one row, f32 or f64.
template <class F>
void column_sums(Device& device, std::int64_t rows, std::int64_t cols, std::initializer_list<ConstMatrix> operands,
                 const F& f, const Matrix& out, void* scratch) {
  if (rows == 0 || cols == 0) return;
  constexpr int width = warp_size * F::unit;
  static_assert(width <= column_sum_warps * warp_size);
  auto* partial = Scratch(scratch).take<double>(column_tiles(rows) * cols);
  dim3 grid(static_cast<unsigned>(ceil_div(cols, width)), static_cast<unsigned>(column_tiles(rows)));
  launch(device, column_sums_kernel<F>, grid, dim3(warp_size, column_sum_warps),
         column_sum_warps * width * sizeof(double), f, rows, cols, column_tile_rows(rows),
         all_aligned(operands, F::unit), partial);
  auto add = [&](auto* sums) {
    launch(device, add_tiles_kernel<std::remove_pointer_t<decltype(sums)>>, blocks_for(cols, 128), 128, 0, partial,
           column_tiles(rows), cols, sums);
  };
  if (out.dtype == DType::f64)
    add(static_cast<double*>(out.data));
  else
    add(static_cast<float*>(out.data));
}

}  // namespace loragrad::cuda

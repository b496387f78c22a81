#pragma once
#include "ops/cuda/launch.h"
#include "ops/cuda/operands.h"

/// Elementwise work. What is done with a unit is a functor F:
///   F::unit    elements of a unit, F::batch  units that a thread loads before it finishes the first
///   f.load(place) -> F::Loaded,  f.finish(place, loaded)    place: WholeUnit or PartUnit
namespace loragrad::cuda {

constexpr int unit_threads = 256;

/// A row's units are spread over threadIdx.x, rows over threadIdx.y.
template <class F>
__global__ void __launch_bounds__(unit_threads) unit_kernel(F f, std::int64_t rows, std::int64_t cols, bool aligned) {
  constexpr int n = F::unit, batch = F::batch;
  std::int64_t first = (std::int64_t{blockIdx.x} * batch * blockDim.x + threadIdx.x) * n;
  std::int64_t step = std::int64_t{blockDim.x} * n, whole = aligned ? cols - n : -1;  // where the last one may begin
  std::int64_t row = std::int64_t{blockIdx.y} * blockDim.y + threadIdx.y;
  for (; row < rows; row += std::int64_t{gridDim.y} * blockDim.y) {
    typename F::Loaded loaded[batch];
#pragma unroll
    for (int k = 0; k < batch; ++k)
      if (first + k * step <= whole) loaded[k] = f.load(WholeUnit{row, first + k * step});
#pragma unroll
    for (int k = 0; k < batch; ++k)
      if (first + k * step <= whole) f.finish(WholeUnit{row, first + k * step}, loaded[k]);
        // At most the last unit of a row, or all where nothing is aligned.
#pragma unroll 1
    for (int k = 0; k < batch; ++k) {
      std::int64_t col = first + k * step;
      if (col <= whole || col >= cols) continue;
      PartUnit part{row, col, static_cast<int>(cols - col < n ? cols - col : n)};
      f.finish(part, f.load(part));
    }
  }
}

/// Runs f over all units of a matrix of that shape; `operands` are those that it reads and writes.
template <class F>
void for_units(Device& device, std::int64_t rows, std::int64_t cols, std::initializer_list<ConstMatrix> operands,
               const F& f) {
  if (rows == 0 || cols == 0) return;
  std::int64_t units = ceil_div(cols, F::unit);
  unsigned across = 1;
  while (across < unit_threads && across * F::batch < units) across *= 2;
  unsigned down = unit_threads / across;
  dim3 grid(static_cast<unsigned>(ceil_div(units, across * F::batch)),
            static_cast<unsigned>(std::min<std::int64_t>(ceil_div(rows, down), 65535)));
  launch(device, unit_kernel<F>, grid, dim3(across, down), 0, f, rows, cols, all_aligned(operands, F::unit));
}

}  // namespace loragrad::cuda

#pragma once
#include "ops/cuda/launch.h"
#include "ops/cuda/operands.h"
#include "ops/cuda/reduce.h"

/// How norms' kernels take rows. A row belongs to a team of threads, a warp or a whole block, that keeps it in registers
/// where it fits and is aligned, and reads it from memory anew for each pass where not.
namespace loragrad::cuda {

constexpr unsigned most_team = 512;

struct Teams {
  dim3 grid, block;
};
/// Teams whose threads have `elements` each, at least a warp; a block then has eight of those.
inline Teams teams_for(std::int64_t rows, std::int64_t cols, int elements) {
  unsigned team = warp_size;
  while (team < most_team && team * elements < cols) team *= 2;
  unsigned per_block = team == warp_size ? 8 : 1;
  return {dim3(static_cast<unsigned>(ceil_div(rows, per_block))), dim3(team, per_block)};
}
constexpr std::size_t team_shared_bytes = warp_size * sizeof(double);

__device__ inline std::int64_t row_of_team() { return std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y; }

template <class C>
__device__ inline C team_sum(C value) {
  return blockDim.x == warp_size ? warp_reduce(value) : block_reduce(value, shared_memory<C>());
}

/// Calls f(k, col) for the units of a row that a thread has: `count` at most, of n elements, from column col on.
template <int n, int count, class F>
__device__ inline void each_unit(std::int64_t cols, F f) {
#pragma unroll
  for (int k = 0; k < count; ++k) {
    auto col = static_cast<std::int64_t>((k * blockDim.x + threadIdx.x) * n);
    if (col < cols) f(k, col);
  }
}
/// Calls f(col) for the elements of a row that a thread has.
template <class F>
__device__ inline void each_element(std::int64_t cols, F f) {
  for (std::int64_t col = threadIdx.x; col < cols; col += blockDim.x) f(col);
}

/// The types that norms have kernels for, of what they read and write beside each other and of statistics and weights:
/// calls f(X(), Y(), S()). Any pair that training does not meet, and f64, goes element by element.
template <class F>
void with_norm_types(DType x, DType y, F f) {
  if (x == DType::f32 && y == DType::f32) return f(float(), float(), float());
  if (x == DType::f32 && y == DType::bf16) return f(float(), bf16(), float());
  if (x == DType::bf16 && y == DType::bf16) return f(bf16(), bf16(), float());
  if (x == DType::f64) return f(Any(), Any(), double());
  f(Any(), Any(), float());
}

}  // namespace loragrad::cuda

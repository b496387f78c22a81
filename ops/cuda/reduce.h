#pragma once
#include <cuda_runtime.h>

#include "ops/cuda/ptx.h"

/// Reductions of a block in an order that depends on its size alone. Blocks have whole warps, 1024 threads at most.
namespace loragrad::cuda {

constexpr unsigned all_lanes = 0xffffffffu;
constexpr int warp_size = 32;

struct Plus {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return a + b;
  }
};
struct Larger {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return a < b ? b : a;
  }
};

/// Every lane gets the result.
template <class Op = Plus, class C>
__device__ inline C warp_reduce(C value, Op op = {}) {
  for (int step = warp_size / 2; step > 0; step /= 2) value = op(value, __shfl_xor_sync(all_lanes, value, step));
  return value;
}

/// Every thread gets the result. `scratch`: shared memory of 32 values, free again after the call.
template <class Op = Plus, class C>
__device__ inline C block_reduce(C value, C* scratch, Op op = {}) {
  auto thread = static_cast<int>(threadIdx.x), warps = static_cast<int>(blockDim.x) / warp_size;
  value = warp_reduce(value, op);
  if (thread % warp_size == 0) scratch[thread / warp_size] = value;
  __syncthreads();
  C result = scratch[0];
  for (int i = 1; i < warps; ++i) result = op(result, scratch[i]);
  __syncthreads();
  return result;
}

}  // namespace loragrad::cuda

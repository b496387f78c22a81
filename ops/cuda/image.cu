#include "ops/cuda/image.h"

#include <cuda_runtime.h>

namespace loragrad::cuda {
namespace {

__global__ void any_kernel() {}

}  // namespace

bool has_kernels() {
  cudaFuncAttributes attributes;
  bool found = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(any_kernel)) == cudaSuccess;
  if (!found) cudaGetLastError();  // it is told by who asked
  return found;
}

}  // namespace loragrad::cuda

#include "ops/cuda/status.h"

#include <string>

#include "engine/error.h"

namespace loragrad::cuda {

void check(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // it is told here
  std::string line = "cuda: " + std::string(what) + ": " + cudaGetErrorString(status);
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(line);
  throw IoError(line);
}

}  // namespace loragrad::cuda

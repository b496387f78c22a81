#include "engine/error.h"
#include "ops/cuda/cuda_device.h"

/// What stands for the backend in a program that was built without CUDA.
namespace loragrad::cuda {

const Machine& machine() {
  static const Machine none{.gpus = {}, .lack = "this program was built without CUDA (meson's -Dcuda=enabled)"};
  return none;
}

std::size_t free_memory(int) { throw UsageError("cuda: " + machine().lack); }

DevicePtr cuda_device(const GpuOptions&) { throw UsageError("cuda: " + machine().lack); }

}  // namespace loragrad::cuda

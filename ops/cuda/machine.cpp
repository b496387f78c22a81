#include <cuda_runtime.h>

#include "engine/error.h"
#include "ops/cuda/cuda_device.h"
#include "ops/cuda/image.h"
#include "ops/cuda/status.h"

namespace loragrad::cuda {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Machine look() {
  Machine found;
  int count = 0, driver = 0, runtime = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  cudaGetLastError();  // none of this is a later call's failure
  if (driver == 0) {
    found.lack = "expected NVIDIA's driver, found none";
    return found;
  }
  found.has_driver = true;
  if (status == cudaErrorInsufficientDriver) {
    found.lack =
        "expected a driver for CUDA " + version_text(runtime) + " or newer, found one for CUDA " + version_text(driver);
    return found;
  }
  if (status != cudaSuccess || count == 0) {
    found.lack = std::string("expected a GPU, found none (") + cudaGetErrorString(status) + ")";
    return found;
  }
  bool any = false;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    if (cudaError_t failed = cudaGetDeviceProperties(&properties, i); failed != cudaSuccess) {
      cudaGetLastError();
      found.gpus.push_back({.index = i, .name = "GPU", .unfit = cudaGetErrorString(failed)});
      continue;
    }
    GpuInfo gpu{.index = i,
                .name = properties.name,
                .major = properties.major,
                .minor = properties.minor,
                .memory = properties.totalGlobalMem,
                .unfit = ""};
    if (gpu.major < 8)
      gpu.unfit = gpu.name + ": expected compute capability 8.0 or newer, found " + std::to_string(gpu.major) + "." +
                  std::to_string(gpu.minor);
    else
      any = true;
    found.gpus.push_back(gpu);
  }
  if (!any && !found.gpus.empty()) found.lack = found.gpus.front().unfit;
  return found;
}

}  // namespace

const Machine& machine() {
  static const Machine found = look();
  return found;
}

std::size_t free_memory(int gpu) {
  std::size_t available = 0, total = 0;
  check(cudaSetDevice(gpu), "device");
  if (!has_kernels())
    throw IoError("cuda: expected a GPU that this program was compiled for (gpu_arch), found another");
  check(cudaMemGetInfo(&available, &total), "memory");
  return available;
}

}  // namespace loragrad::cuda

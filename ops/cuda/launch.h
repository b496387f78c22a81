#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include "ops/cuda/gpu.h"

/// How kernels are started: on the device's one stream, from the .cu file that has them.
namespace loragrad::cuda {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Blocks for `items` of work, `per_block` each; at least one.
inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  return static_cast<unsigned>(std::max<std::int64_t>(ceil_div(items, per_block), 1));
}

/// kernel<<<grid, block, shared>>>(args...) on the device's stream.
template <class... Params, class... Args>
void launch(Device& device, void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared, Args&&... args) {
  std::tuple<Params...> values{static_cast<Params>(std::forward<Args>(args))...};
  std::apply(
      [&](Params&... each) {
        void* pointers[] = {const_cast<void*>(static_cast<const void*>(&each))...};
        // More than every kernel may have must be asked for.
        if (shared > 48 << 10)
          check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     static_cast<int>(shared)),
                "kernel");
        check(cudaLaunchKernel(kernel, grid, block, pointers, shared, gpu_of(device).stream()), "kernel");
      },
      values);
}

}  // namespace loragrad::cuda

#pragma once
#include <cuda_runtime.h>

#include <functional>

namespace cuda_emulation {

/// All blocks of a grid, one after the other in shuffled order. Throws what a kernel throws, and std::logic_error where threads wait for
/// others that do not come.
void run_grid(dim3 grid, dim3 block, std::size_t shared, const std::function<void()>& thread);

}  // namespace cuda_emulation

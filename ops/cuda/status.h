#pragma once
#include <cuda_runtime.h>

#include <string_view>

namespace loragrad::cuda {

/// IoError "cuda: WHAT: REASON", OutOfMemory where it is that, unless a call of the runtime's succeeded.
void check(cudaError_t status, std::string_view what);

}  // namespace loragrad::cuda

#pragma once

namespace loragrad::cuda {

/// Whether the program's kernels were compiled for the current GPU (the build's gpu_arch).
bool has_kernels();

}  // namespace loragrad::cuda

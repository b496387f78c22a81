#pragma once
// Threads: any may make a device; its kernels run on a pool of its own.
#include "engine/device.h"

namespace loragrad {

/// The machine's processor. Large buffers come from one arena (ops/cpu/arena.h). `threads` 0: all that may be used.
DevicePtr cpu_device(int threads = 0);

/// What multiplies matrices: "oneDNN 2.6.3" or "OpenBLAS 0.3.21".
std::string_view gemm_library();

}  // namespace loragrad

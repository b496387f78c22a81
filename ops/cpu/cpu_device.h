#pragma once
// Threads: any may make a device; its kernels run on a pool of its own.
#include "engine/device.h"

namespace loragrad {

/// The machine's processor. Large buffers come from one arena (ops/cpu/arena.h). `threads` 0: all that may be used.
DevicePtr cpu_device(int threads = 0);

/// The instruction set that our kernels run in: "baseline", "avx2", "avx512" or "avx512_bf16"; the best that the
/// processor has, or the environment's LORAGRAD_MAX_CPU_ISA if that is less. UsageError, as from cpu_device, where the
/// variable holds anything else.
std::string_view kernel_set();

/// What multiplies matrices: "oneDNN 2.6.3" or "OpenBLAS 0.3.21".
std::string_view gemm_library();

}  // namespace loragrad

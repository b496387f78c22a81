#pragma once
// Threads: any may make a device; its kernels run on a pool of its own.
#include "engine/device.h"

namespace loragrad {

/// The machine's processor. Large buffers come from one arena (ops/cpu/arena.h). `threads` 0: all that may be used.
/// IoError where the system does not start so many.
DevicePtr cpu_device(int threads = 0);

/// The instruction set that our kernels run in: "baseline", "avx2", "avx512" or "avx512_bf16"; the best that the
/// processor has, or the environment's LORAGRAD_MAX_CPU_ISA if that is less. UsageError, as from cpu_device, where the
/// variable holds anything else.
std::string_view kernel_set();

/// The processor with so many threads as one to ask and not to run on: it says what scratch space kernels need and what
/// a run costs, and has neither memory nor threads. For meta_device(like).
DevicePtr planning_device(int threads);

/// The processors this process may use (affinity and cgroup), at least 1.
int available_threads();

/// What multiplies matrices: "oneDNN 2.6.3" or "OpenBLAS 0.3.21".
std::string_view gemm_library();

}  // namespace loragrad

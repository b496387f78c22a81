#include "ops/cpu/kernels.h"

namespace loragrad::cpu {

/// The table of the set that is being compiled, and the only name of it that others see. It is C's, so that the build
/// can spell it (ops/cpu/meson.build).
extern "C" const Kernels LORAGRAD_KERNEL_TABLE;
constinit const Kernels LORAGRAD_KERNEL_TABLE{
#define KERNEL(name, Args) .name = {scratch_bytes, name},
    LORAGRAD_KERNELS(KERNEL)
#undef KERNEL
};

}  // namespace loragrad::cpu

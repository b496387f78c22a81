#pragma once
#include "engine/device.h"

/// The processor's entries of the kernel table; engine/kernels.h says what each computes. All take any strides between
/// rows, give the same bits for any number of threads, and compute in f32, or in f64 where an operand is f64.
namespace loragrad::cpu {

#define KERNEL(name, Args) void name(Device&, const Args&, void* scratch = nullptr);
LORAGRAD_KERNELS(KERNEL)
#undef KERNEL

/// Bytes of scratch space: most kernels take none.
template <class Args>
std::size_t scratch_bytes(Device&, const Args&) {
  return 0;
}
std::size_t scratch_bytes(Device&, const GemmArgs&);
std::size_t scratch_bytes(Device&, const GemmListArgs&);
std::size_t scratch_bytes(Device&, const NormBackwardArgs&);
std::size_t scratch_bytes(Device&, const AttentionArgs&);
std::size_t scratch_bytes(Device&, const AttentionBackwardArgs&);
std::size_t scratch_bytes(Device&, const HeadLossArgs&);

}  // namespace loragrad::cpu

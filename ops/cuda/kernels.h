#pragma once
#include "engine/device.h"

/// The GPU's entries of the kernel table; engine/kernels.h says what each computes, docs/cuda.md how. Each is started on
/// the device's stream and returns at once. Sums have a fixed order: equal calls give equal bits on one card.
namespace loragrad::cuda {

#define KERNEL(name, Args) void name(Device&, const Args&, void* scratch = nullptr);
LORAGRAD_KERNELS(KERNEL)
#undef KERNEL

/// Bytes of scratch space in the device's memory: most kernels take none.
template <class Args>
std::size_t scratch_bytes(Device&, const Args&) {
  return 0;
}
std::size_t scratch_bytes(Device&, const GemmArgs&);
std::size_t scratch_bytes(Device&, const GemmListArgs&);
std::size_t scratch_bytes(Device&, const L2NormArgs&);
std::size_t scratch_bytes(Device&, const ColumnSumArgs&);
std::size_t scratch_bytes(Device&, const ColumnDotArgs&);
std::size_t scratch_bytes(Device&, const WeightNormsArgs&);
std::size_t scratch_bytes(Device&, const NormBackwardArgs&);
std::size_t scratch_bytes(Device&, const AttentionArgs&);
std::size_t scratch_bytes(Device&, const AttentionBackwardArgs&);
std::size_t scratch_bytes(Device&, const HeadLossArgs&);
std::size_t scratch_bytes(Device&, const AdamWArgs&);

}  // namespace loragrad::cuda

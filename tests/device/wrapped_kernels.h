#pragma once
#include "ops/wrapped_device.h"

namespace loragrad::test {

/// A table for a WrappedDevice: each kernel is the wrapped device's, with an `Around(device, arguments, scratch)` alive
/// while it runs.
template <class Around>
constexpr Kernels wrapped_kernels{
#define KERNEL(name, Args)                                                                              \
  .name = {scratch_of_like<&Kernels::name, Args>, [](Device& device, const Args& args, void* scratch) { \
             auto& wrapped = static_cast<WrappedDevice&>(device);                                       \
             Around around(wrapped, args, scratch);                                                     \
             wrapped.like().kernels().name.run(wrapped.like(), args, scratch);                          \
           }},
    LORAGRAD_KERNELS(KERNEL)
#undef KERNEL
};

}  // namespace loragrad::test

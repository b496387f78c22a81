#pragma once
#include "engine/device.h"

namespace loragrad::test {

/// ops/cuda as a device, compiled for the processor and run on the emulation of CUDA in this folder. With
/// `single_blocks` each tensor is an allocation whose end is guarded.
DevicePtr emulated_device(bool single_blocks = true);

}  // namespace loragrad::test

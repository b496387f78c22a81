#pragma once
#include "engine/device.h"

namespace loragrad::test {

/// The device `like`, said to multiply bf16: where the processor does not, its kernels do so slowly, by f32 copies.
DevicePtr bf16_device(const DevicePtr& like);

}  // namespace loragrad::test

#pragma once
#include "engine/device.h"

namespace loragrad {

/// A device that asks `like` for scratch space and dtypes but has no memory: every op runs, nothing is computed, bytes
/// are counted and blocks are placed as the processor's are. One step on it says what the step will take on `like`.
DevicePtr meta_device(const DevicePtr& like);

}  // namespace loragrad

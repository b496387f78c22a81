#pragma once
#include "engine/device.h"

namespace loragrad {

/// A device that has `like`'s workspaces and dtypes but no memory: every op runs, nothing is computed, bytes are
/// counted. One step on it says what the step will take on `like`.
DevicePtr meta_device(const DevicePtr& like);

}  // namespace loragrad

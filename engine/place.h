#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "engine/weight.h"

namespace loragrad {

/// A weight of a file's bytes, which may be misaligned: the way in for all that is not made on the device. Where the
/// device shares the host's memory and `wanted` is the type that is `stored`, the weight is these bytes themselves and
/// takes no memory; else a copy of the device's own, converted there once.
Weight place(const DevicePtr& device, const HostBytes& bytes, DType stored, Shape shape, DType wanted,
             WeightLayout layout = WeightLayout::out_in);

}  // namespace loragrad

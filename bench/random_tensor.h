#pragma once
#include "engine/tensor.h"

namespace loragrad::bench {

/// Values between -1 and 1, which repeat after some thousands: no zeros or denormal numbers, whose products may take
/// another time.
Tensor random_tensor(const DevicePtr& device, Shape shape, DType dtype);

}  // namespace loragrad::bench

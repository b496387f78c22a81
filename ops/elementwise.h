#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "engine/tensor.h"

namespace loragrad {

/// y = a + b, in a's dtype (the residual stream is f32, the branch may be bf16). Equal shapes.
Tensor add(const Tensor& a, const Tensor& b);

/// y = factor x.
Tensor scale(const Tensor& x, double factor);

/// x as another type, on the tape (dx is converted back).
Tensor cast(const Tensor& x, DType dtype);

}  // namespace loragrad

#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "engine/tensor.h"

namespace loragrad {

/// x = cap tanh(x / cap), in place, for logits that are looked at (with the loss, cross_entropy does it). No tape.
/// ShapeError for another type than f32 or f64, or a cap that is not above 0.
void soft_cap(Tensor& x, double cap);

}  // namespace loragrad

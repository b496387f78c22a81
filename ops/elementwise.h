#pragma once
#include "engine/tensor.h"

namespace loragrad {

/// y = a + b, in a's dtype (the residual stream is f32, the branch may be bf16). Equal shapes.
Tensor add(const Tensor& a, const Tensor& b);

/// y = factor x.
Tensor scale(const Tensor& x, double factor);

/// x as another type, on the tape (dx is converted back).
Tensor cast(const Tensor& x, DType dtype);

/// sum over all elements of a ∘ b, as [1, 1] (a loss for tests and for models of one's own). b is a constant.
Tensor dot(const Tensor& a, const Tensor& b);

}  // namespace loragrad

#pragma once
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// The norm of all gradients together, sqrt of the sum of their squares in f64 (NaN and Inf stay visible), and
/// torch.nn.utils.clip_grad_norm_'s factor min(1, max_norm / (norm + 1e-6)), 1 when max_norm is 0 (off). They go to
/// `norm_and_factor` [1, 2] f64, and stay on the device.
void clip_gradients(const std::vector<Tensor>& parameters, double max_norm, Tensor norm_and_factor);

}  // namespace loragrad

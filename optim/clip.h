#pragma once
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// sqrt of the sum of squares of all gradients, in f64; 0 without any. NaN and Inf stay visible.
double gradient_norm(const std::vector<Tensor>& parameters);

/// torch.nn.utils.clip_grad_norm_'s factor: min(1, max_norm / (norm + 1e-6)); 1 when max_norm is 0 (off).
double clip_factor(double norm, double max_norm);

}  // namespace loragrad

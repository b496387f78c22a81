#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "engine/tensor.h"

namespace loragrad {

/// Rotary positions in halves (not interleaved).                                    Su et al. 2021, section 3.2
/// For each head of x [tokens, heads * D], with θ = position f_i:
///   (y_i, y_{i+D/2}) = (x_i cos θ - x_{i+D/2} sin θ,  x_{i+D/2} cos θ + x_i sin θ)
/// positions [tokens, 1] i32; frequencies [1, D/2] f64: f_i = base^(-2i/D), possibly rescaled by the model's config.
/// Backward is the inverse rotation; keeps the positions only.
Tensor rope(const Tensor& x, const Tensor& positions, const Tensor& frequencies);

}  // namespace loragrad

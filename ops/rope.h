#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "ops/attention.h"

namespace loragrad {

/// cos θ_i and sin θ_i of every token, θ_i = position f_i, for all layers of a pass: [tokens, 2 n] in f32 (f64 where
/// `dtype` is), the n cosines first. positions [tokens, 1] i32; frequencies [1, n] f64: f_i = base^(-2i/D), possibly
/// rescaled by the model's config.
Tensor rotations(const Tensor& positions, const Tensor& frequencies, DType dtype);
/// The same with frequencies [rows, n], one row of them for each of `rows`, whose tokens these are.
Tensor rotations(const Tensor& positions, const RowSpans& rows, const Tensor& frequencies, DType dtype);

/// Rotary positions in halves (not interleaved).                                    Su et al. 2021, section 3.2
/// For each head of x [tokens, heads * head_dim], over its first R dimensions, R = turns.cols():
///   (y_i, y_{i+R/2}) = (x_i cos θ_i - x_{i+R/2} sin θ_i,  x_{i+R/2} cos θ_i + x_i sin θ_i)
/// The other dimensions stay. Backward is the inverse rotation (by multiples of cos and sin too: the transpose); keeps
/// `turns` (rotations()) only.
Tensor rope(const Tensor& x, const Tensor& turns, std::int64_t head_dim);

}  // namespace loragrad

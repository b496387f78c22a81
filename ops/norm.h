#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "engine/parameter.h"

namespace loragrad {

/// y = (x - mean(x)) rstd w + b,  rstd = 1 / sqrt(var(x) + eps), over each row.          Ba et al. 2016
/// x [tokens, d] (f32, bf16 or f64), w and b [d] in f32 (f64 for f64 x), b may be none -> [tokens, d] of type `dtype`.
/// Keeps x and rstd; y carries a recipe, so that ops which save y keep nothing.
Tensor layer_norm(const Tensor& x, const Parameter& w, const Parameter& b, double eps, DType dtype);

/// y = x rstd (w + offset),  rstd = 1 / sqrt(mean(x²) + eps), over each row.        Zhang & Sennrich 2019
/// offset: 1 where a model stores what its weights are more than one (Gemma).
Tensor rms_norm(const Tensor& x, const Parameter& w, double eps, DType dtype, double offset = 0);

}  // namespace loragrad

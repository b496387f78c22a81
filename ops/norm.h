#pragma once
#include "engine/tensor.h"
#include "engine/weight.h"

namespace loragrad {

/// y = (x - mean(x)) rstd w + b,  rstd = 1 / sqrt(var(x) + eps), over each row.          Ba et al. 2016
/// x [tokens, d] (f32, bf16 or f64), w and b [d] in f32 (f64 for f64 x) -> [tokens, d] of type `dtype`.
/// Keeps x and rstd; y carries a recipe, so that ops which save y keep nothing. Frozen or trainable parameters.
Tensor layer_norm(const Tensor& x, const Weight& w, const Weight& b, double eps, DType dtype);
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, double eps, DType dtype);

/// y = x rstd w,  rstd = 1 / sqrt(mean(x²) + eps), over each row.                   Zhang & Sennrich 2019
Tensor rms_norm(const Tensor& x, const Weight& w, double eps, DType dtype);
Tensor rms_norm(const Tensor& x, const Tensor& w, double eps, DType dtype);

}  // namespace loragrad

#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <vector>

#include "engine/parameter.h"
#include "ops/dropout.h"
#include "ops/linear.h"

namespace loragrad {

/// One adapter's part in a linear map: A [r, in], B [out, r] (f32, or f64 with f64 x), scale s = alpha/r times the
/// adapter's weight.
struct LoraTerm {
  Tensor a, b;
  double scale = 1;
  Dropout dropout = {};
  IndexRange tokens = {};  ///< of x, for which it counts
};

/// y = x Wᵀ + bias + Σ_i s_i (drop_i(x) A_iᵀ) B_iᵀ, term i in its tokens.              Hu et al. 2021, section 4.1
/// x [tokens, in], W [out, in] (or stored [in, out]: its layout) -> [tokens, out] in x's dtype.
/// Backward, per term, with h = drop(x) Aᵀ [tokens, r] kept: dh = s dy B, dA = dhᵀ drop(x), dB = s dyᵀ h,
/// dx = dy W + drop(dh A). Of a frozen W there is no dW. Keeps x (or its recipe, shared with the others who read x)
/// and h. Throws ShapeError naming both shapes.
Tensor lora_linear(const Tensor& x, const Parameter& w, const Parameter& bias, const std::vector<LoraTerm>& terms);

}  // namespace loragrad

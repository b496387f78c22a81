#pragma once
#include "engine/parameter.h"

namespace loragrad {

/// Whether y's values are formed, or left as the memory was: on the tape y is the same.
enum class Values { formed, unread };

/// y = x Wᵀ + b.  x [tokens, in], W [out, in] (or stored [in, out]: its layout), b [out] or none -> [tokens, out] in
/// x's dtype. Backward: dx = dy W, and where they are trained dW = dyᵀ x (x is kept), db = sum of dy over tokens. W is
/// read in place whatever its dtype. Throws ShapeError naming both shapes.
Tensor linear(const Tensor& x, const Parameter& w, const Parameter& bias, Values values = Values::formed);

}  // namespace loragrad

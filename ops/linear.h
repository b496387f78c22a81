#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "engine/parameter.h"

namespace loragrad {

/// y = x Wᵀ + b.  x [tokens, in], W [out, in] (or stored [in, out]: its layout), b [out] or none -> [tokens, out] in
/// x's dtype. Backward: dx = dy W, and where they are trained dW = dyᵀ x (x is kept), db = sum of dy over tokens. W is
/// read in place whatever its dtype. With `rows_alone` a row of y has the same bits whatever rows are beside it
/// (GemmArgs). Throws ShapeError naming both shapes.
Tensor linear(const Tensor& x, const Parameter& w, const Parameter& bias, bool rows_alone = false);

}  // namespace loragrad

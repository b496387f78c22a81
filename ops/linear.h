#pragma once
#include "engine/tensor.h"
#include "engine/weight.h"

namespace loragrad {

/// Whether y's values are formed, or left as the memory was: on the tape y is the same.
enum class Values { formed, unread };

/// y = x Wᵀ + b with a frozen weight.  x [tokens, in], W [out, in] (or stored [in, out]: Weight::layout), b [out] or
/// empty
/// -> [tokens, out] in x's dtype. Backward: dx = dy W, and nothing is kept. W is read in place whatever its dtype.
/// Throws ShapeError naming both shapes.
Tensor linear(const Tensor& x, const Weight& w, const Weight& bias, Values values = Values::formed);

/// The same with a trainable weight and bias (undefined: none): dw = dyᵀ x, db = sum of dy over tokens; keeps x.
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias, WeightLayout layout = WeightLayout::out_in,
              Values values = Values::formed);

}  // namespace loragrad

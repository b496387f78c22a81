#pragma once
#include "engine/tensor.h"

namespace loragrad {

/// A or B as products take it: the type of the activations. Converted once, for forward and backward.
inline Tensor operand(const Tensor& matrix, DType dtype) {
  return matrix.dtype() == dtype ? matrix.detach() : matrix.to(dtype);
}

}  // namespace loragrad

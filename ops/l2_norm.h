#pragma once
#include "engine/tensor.h"

namespace loragrad {

/// sqrt of the sum of squares of a matrix, in f64; NaN and Inf stay visible. Waits for the device.
double l2_norm(const DevicePtr& device, const ConstMatrix& x);
/// Whether a matrix is free of NaN and Inf (and of values whose squares are too large for an f64). Waits for the
/// device.
bool is_finite(const DevicePtr& device, const ConstMatrix& x);
inline bool is_finite(const Tensor& x) { return is_finite(x.device(), x.matrix()); }

}  // namespace loragrad

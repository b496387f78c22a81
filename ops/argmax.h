#pragma once
#include <cstdint>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// For each row of x (f32 or f64) the column of its largest value, the first of equal ones; -1 where the row holds a NaN.
/// Only these come to the host. Waits for the device. ShapeError for another type, or a matrix without columns.
std::vector<std::int32_t> argmax(const Tensor& x);

}  // namespace loragrad

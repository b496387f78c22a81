#pragma once
#include <string_view>

#include "engine/tensor.h"

/// What ops check before they compute. Messages name the op, both operands, and both shapes.
namespace loragrad {

/// ShapeError "add: a is [2, 3], b is [4, 3]" unless the shapes are equal.
void check_equal_shapes(std::string_view op, std::string_view a_name, Shape a, std::string_view b_name, Shape b);
/// ShapeError unless both are on one device.
void check_one_device(std::string_view op, const DevicePtr& a, const DevicePtr& b);
/// ShapeError unless x holds real numbers: f32, f64 or bf16.
void check_real(std::string_view op, std::string_view name, DType dtype);
/// ShapeError unless `t` is an i32 tensor of `shape`, one row for each row of `of`.
void check_indices(std::string_view op, std::string_view name, const Tensor& t, Shape shape, Shape of);

/// The target of kernels that only add: set to zero first when nothing is there yet.
Matrix zeroed(Device& device, Matrix target, double beta);

}  // namespace loragrad

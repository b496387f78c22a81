#include "ops/checks.h"

#include <string>

#include "engine/error.h"

namespace loragrad {
void check_equal_shapes(std::string_view op, std::string_view a_name, Shape a, std::string_view b_name, Shape b) {
  if (a == b) return;
  throw ShapeError(std::string(op) + ": " + std::string(a_name) + " is " + a.text() + ", " + std::string(b_name) +
                   " is " + b.text());
}

void check_one_device(std::string_view op, const DevicePtr& a, const DevicePtr& b) {
  if (a == b) return;
  throw ShapeError(std::string(op) + ": operands are on different devices (" + std::string(a->name()) + ", " +
                   std::string(b->name()) + ")");
}

void check_real(std::string_view op, std::string_view name, DType dtype) {
  if (dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16) return;
  throw ShapeError(std::string(op) + ": " + std::string(name) + ": expected f32, f64 or bf16, found " +
                   std::string(name_of(dtype)));
}

void check_indices(std::string_view op, std::string_view name, const Tensor& t, Shape shape, Shape of) {
  if (t.defined() && t.dtype() == DType::i32 && t.shape() == shape) return;
  std::string found = t.defined() ? t.shape().text() + " " + std::string(name_of(t.dtype())) : "nothing";
  throw ShapeError(std::string(op) + ": " + std::string(name) + ": expected " + shape.text() + " i32 for " + of.text() +
                   ", found " + found);
}

Matrix zeroed(Device& device, Matrix target, double beta) {
  if (beta == 0) device.kernels().accumulate(device, {target, 0, target, 0});
  return target;
}

}  // namespace loragrad

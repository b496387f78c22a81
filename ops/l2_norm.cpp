#include "ops/l2_norm.h"

#include <cmath>

namespace loragrad {

double l2_norm(const DevicePtr& device, const ConstMatrix& x) {
  Tensor norm = Tensor::empty(device, {1, 1}, DType::f64);
  device->kernels().l2_norm(*device, {.x = {&x, 1}, .norm = norm.mutable_data<double>()});
  return norm.item();
}

bool is_finite(const DevicePtr& device, const ConstMatrix& x) { return std::isfinite(l2_norm(device, x)); }

}  // namespace loragrad

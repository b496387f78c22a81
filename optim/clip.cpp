#include "optim/clip.h"

namespace loragrad {

void clip_gradients(const std::vector<Tensor>& parameters, double max_norm, Tensor norm_and_factor) {
  std::vector<ConstMatrix> matrices;
  for (const Tensor& parameter : parameters)
    if (parameter.grad().defined()) matrices.push_back(parameter.grad().matrix());
  Device& device = *norm_and_factor.device();
  auto* norm = norm_and_factor.mutable_data<double>();
  device.kernels().l2_norm(device, {.x = matrices, .max_norm = max_norm, .norm = norm, .clip = norm + 1});
}

}  // namespace loragrad

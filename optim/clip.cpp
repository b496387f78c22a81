#include "optim/clip.h"

namespace loragrad {

void clip_gradients(const std::vector<Tensor>& parameters, double max_norm, Tensor norm_and_factor) {
  std::vector<ConstMatrix> matrices;
  for (const Tensor& parameter : parameters)
    if (parameter.grad().defined()) matrices.push_back(parameter.grad().matrix());
  Device& device = *norm_and_factor.device();
  Tensor norm = norm_and_factor.cols(0, 1), factor = norm_and_factor.cols(1, 1);
  device.kernels().l2_norm(device, {.x = matrices,
                                    .max_norm = max_norm,
                                    .norm = norm.mutable_data<double>(),
                                    .clip = factor.mutable_data<double>()});
}

}  // namespace loragrad

#include "optim/adamw.h"

namespace loragrad {

void AdamW::step(double lr, double grad_scale) {
  ++step_;
  m_.resize(parameters_.size());
  v_.resize(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Tensor& parameter = parameters_[i];
    Tensor gradient = parameter.grad();
    if (!gradient.defined()) continue;
    const DevicePtr& device = parameter.device();
    if (!m_[i].defined()) {
      m_[i] = Tensor::zeros(device, parameter.shape(), parameter.dtype());
      v_[i] = Tensor::zeros(device, parameter.shape(), parameter.dtype());
    }
    device->kernels().adamw(*device, {.parameter = parameter.mutable_matrix(),
                                      .m = m_[i].mutable_matrix(),
                                      .v = v_[i].mutable_matrix(),
                                      .gradient = gradient.matrix(),
                                      .lr = lr,
                                      .beta1 = config_.beta1,
                                      .beta2 = config_.beta2,
                                      .eps = config_.eps,
                                      .weight_decay = config_.weight_decay,
                                      .grad_scale = grad_scale,
                                      .step = step_});
  }
}

std::size_t AdamW::state_bytes() const {
  std::size_t bytes = 0;
  for (const auto* moments : {&m_, &v_})
    for (const Tensor& moment : *moments)
      if (moment.defined()) bytes += moment.bytes();
  return bytes;
}

}  // namespace loragrad

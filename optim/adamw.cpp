#include "optim/adamw.h"

#include <map>
#include <string>

#include "engine/error.h"

namespace loragrad {

void AdamW::step(double lr, const Tensor& grad_scale) {
  ++step_;
  m_.resize(parameters_.size());
  v_.resize(parameters_.size());
  std::map<double, std::vector<AdamWTensor>> groups;  // of one learning rate
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Tensor& parameter = parameters_[i];
    if (!parameter.grad().defined()) continue;
    for (Tensor* moment : {&m_[i], &v_[i]})
      if (!moment->defined()) *moment = Tensor::zeros(parameter.device(), parameter.shape(), parameter.dtype());
    groups[ratio(i)].push_back(
        {parameter.mutable_matrix(), m_[i].mutable_matrix(), v_[i].mutable_matrix(), parameter.grad().matrix()});
  }
  for (const auto& [ratio, tensors] : groups) {
    Device& device = *parameters_.front().device();
    device.kernels().adamw(device, {.tensors = tensors,
                                    .lr = lr * ratio,
                                    .beta1 = config_.beta1,
                                    .beta2 = config_.beta2,
                                    .eps = config_.eps,
                                    .weight_decay = config_.weight_decay,
                                    .grad_scale = grad_scale.defined() ? grad_scale.data<double>() : nullptr,
                                    .step = step_});
  }
}

AdamW::Moments AdamW::moments(std::size_t parameter) const {
  return parameter < m_.size() ? Moments{m_[parameter], v_[parameter]} : Moments{};
}

void AdamW::restore(std::int64_t steps, const std::vector<Moments>& moments) {
  if (moments.size() != parameters_.size())
    throw ShapeError("adamw: expected moments of " + std::to_string(parameters_.size()) + " parameters, found " +
                     std::to_string(moments.size()));
  for (std::size_t i = 0; i < moments.size(); ++i)
    for (const Tensor& moment : {moments[i].m, moments[i].v})
      if (moment.defined() && moment.shape() != parameters_[i].shape())
        throw ShapeError("adamw: moments " + moment.shape().text() + " do not fit a parameter " +
                         parameters_[i].shape().text());
  m_.clear();
  v_.clear();
  for (const auto& [m, v] : moments) {
    m_.push_back(m);
    v_.push_back(v);
  }
  step_ = steps;
}

std::size_t AdamW::state_bytes() const {
  std::size_t bytes = 0;
  for (const auto* moments : {&m_, &v_})
    for (const Tensor& moment : *moments)
      if (moment.defined()) bytes += moment.bytes();
  return bytes;
}

}  // namespace loragrad

#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

struct AdamWConfig {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};

/// AdamW over a list of trainable tensors.    Loshchilov & Hutter 2019, "Decoupled weight decay regularization", alg. 2
///   g = gradient * grad_scale;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g²
///   p -= lr wd p;  p -= lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)       (torch.optim.AdamW's order and epsilon)
/// Weight decay applies to every tensor, as torch's does with one parameter group. Moments are allocated at the first
/// step.
class AdamW {
 public:
  /// `lr_ratios`: what the learning rate of each parameter is multiplied by; empty: all by 1.
  AdamW(std::vector<Tensor> parameters, AdamWConfig config, std::vector<double> lr_ratios = {})
      : parameters_(std::move(parameters)), lr_ratios_(std::move(lr_ratios)), config_(config) {}
  /// One step; parameters without a gradient are left alone. Gradients stay (clear_grad is the caller's), and are
  /// multiplied by `grad_scale` on the way ([1, 1] f64 on the device; undefined: 1).
  void step(double lr, const Tensor& grad_scale = Tensor());
  std::int64_t steps() const { return step_; }
  /// What it remembers of a parameter: of its shape, and undefined where it never had a gradient.
  struct Moments {
    Tensor m, v;
  };
  Moments moments(std::size_t parameter) const;
  /// Goes on as after `steps` steps that left these moments, one pair for each parameter. ShapeError where they do not
  /// fit.
  void restore(std::int64_t steps, const std::vector<Moments>& moments);
  std::size_t state_bytes() const;

 private:
  double ratio(std::size_t i) const { return lr_ratios_.empty() ? 1 : lr_ratios_[i]; }

  std::vector<Tensor> parameters_, m_, v_;
  std::vector<double> lr_ratios_;
  AdamWConfig config_;
  std::int64_t step_ = 0;
};

}  // namespace loragrad

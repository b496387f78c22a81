#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <utility>

#include "engine/tensor.h"
#include "engine/weight.h"

namespace loragrad {

/// A parameter as ops take it: frozen (a Weight), trained (a Tensor), or none (a missing bias). One call serves all
/// three, in any mixture; what is frozen has no gradient, since from a Weight there is no way to one.
class Parameter {
 public:
  Parameter() = default;  ///< none
  Parameter(Weight weight) : weight_(std::move(weight)) {}
  Parameter(Tensor tensor, WeightLayout layout = WeightLayout::out_in) : tensor_(std::move(tensor)) {
    if (tensor_.defined()) weight_ = Weight(tensor_, layout);
  }

  bool empty() const { return weight_.empty(); }
  Shape shape() const { return weight_.shape(); }
  DType dtype() const { return weight_.dtype(); }
  std::size_t bytes() const { return weight_.bytes(); }
  const DevicePtr& device() const { return weight_.device(); }
  WeightLayout layout() const { return weight_.layout(); }
  std::int64_t out_features() const { return weight_.out_features(); }
  std::int64_t in_features() const { return weight_.in_features(); }

  /// `count` rows from `begin` on.
  Parameter rows(std::int64_t begin, std::int64_t count) const {
    return tensor_.defined() ? Parameter(tensor_.rows(begin, count), layout()) : Parameter(weight_.rows(begin, count));
  }

  /// The trained tensor; undefined for a frozen parameter.
  const Tensor& tensor() const { return tensor_; }
  bool needs_grad() const { return tensor_.needs_grad(); }
  /// The present values, frozen.
  const Weight& weight() const { return weight_; }
  WeightView view() const { return weight_.view(); }

 private:
  Weight weight_;
  Tensor tensor_;
};

}  // namespace loragrad

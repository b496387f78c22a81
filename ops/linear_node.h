#pragma once
#include <optional>
#include <vector>

#include "engine/node.h"

namespace loragrad {

/// A linear map on the tape: what an op that adds to one derives from. Inputs are x, w, the bias, and `more`.
class LinearNode : public Node {
 public:
  LinearNode(const Tensor& x, const Parameter& w, const Parameter& bias, const std::vector<Tensor>& more = {});
  std::string_view name() const override { return saved_x_ ? "linear (trainable)" : "linear"; }
  void backward(const Tensor& dy, GradSink& sink) override { backward(dy, dy, sink); }

 protected:
  /// The same where W x and the bias do not have one gradient.
  void backward(const Tensor& of_product, const Tensor& of_bias, GradSink& sink);
  WeightView w() const { return w_.view(name()); }
  bool is_in_out() const { return w_.weight().layout() == WeightLayout::in_out; }

 private:
  SavedParameter w_;
  std::optional<std::size_t> saved_x_;
};

/// ShapeError unless linear takes these.
void check_linear(const Tensor& x, const Parameter& w, const Parameter& bias);
/// y = x Wᵀ + b
void form_linear(const Tensor& x, const Weight& w, const Weight& bias, bool rows_alone, Matrix y);

}  // namespace loragrad

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
  void backward(const Tensor& dy, GradSink& sink) override;

 private:
  SavedParameter w_;
  std::optional<std::size_t> saved_x_;
};

/// ShapeError unless linear takes these.
void check_linear(const Tensor& x, const Parameter& w, const Parameter& bias);
/// y = x Wᵀ + b
void form_linear(const Tensor& x, const Weight& w, const Weight& bias, bool rows_alone, Matrix y);

}  // namespace loragrad

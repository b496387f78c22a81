#include "ops/dropout.h"

#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

struct DropoutNode final : Node {
  DropoutNode(const Tensor& x, const Dropout& config) : config(config) { set_inputs({x}); }
  std::string_view name() const override { return "dropout"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    auto dx = sink.into(0, dy);
    dy.device()->kernels().dropout(*dy.device(),
                                   {.x = dy.matrix(), .y = dx.matrix, .mask = config.mask(), .beta = dx.beta});
  }
  Dropout config;
};

}  // namespace

Tensor dropout(const Tensor& x, const Dropout& config) {
  check_real("dropout", "x", x.dtype());
  if (!(config.p >= 0 && config.p < 1))
    throw UsageError("dropout: p: expected 0 <= p < 1, found " + std::to_string(config.p));
  if (!config.on()) return x;
  check_indices("dropout", "tokens", config.tokens, {x.rows(), 2}, x.shape());
  check_one_device("dropout", x.device(), config.tokens.device());
  Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());
  x.device()->kernels().dropout(*x.device(), {.x = x.matrix(), .y = y.mutable_matrix(), .mask = config.mask()});
  if (!needs_grad({&x})) return y;
  return attach(y, std::make_shared<DropoutNode>(x, config));
}

}  // namespace loragrad

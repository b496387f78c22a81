#include "engine/checkpoint.h"

#include <utility>

#include "engine/backward.h"
#include "engine/node.h"

namespace loragrad {
namespace {

using Block = std::function<Tensor(const Tensor&, bool)>;

struct CheckpointNode final : Node {
  CheckpointNode(const Tensor& x, Block block) : block(std::move(block)) {
    set_inputs({x});
    save(x);
  }
  std::string_view name() const override { return "checkpoint"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Tensor x = saved(0).detach();
    // Not set_trainable(): activations are leaves of this tape in whatever type they have.
    x.impl()->trainable = sink.needs(0);
    {
      Tensor y = block(x, true);
      if (y.needs_grad()) loragrad::backward(y, dy);
    }
    if (Tensor dx = x.grad(); dx.defined()) {
      x.clear_grad();
      sink.pass(0, dx);
    }
  }
  Block block;
};

}  // namespace

Tensor checkpoint(const Tensor& x, std::function<Tensor(const Tensor&)> block) {
  return checkpoint(x, Block([block = std::move(block)](const Tensor& input, bool) { return block(input); }));
}

Tensor checkpoint(const Tensor& x, Block block) {
  // The values of this first run's tape go away with `first`; whether there was one says if the block has leaves.
  Tensor first = block(x.detach(), false);
  bool record = x.needs_grad() || first.needs_grad();
  Tensor y = first.detach();
  y.impl()->recipe = nullptr;  // it would keep the block's values alive
  return record ? attach(y, std::make_shared<CheckpointNode>(x, std::move(block))) : y;
}

}  // namespace loragrad

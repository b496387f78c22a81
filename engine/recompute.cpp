#include "engine/recompute.h"

#include <utility>

#include "engine/backward.h"
#include "engine/modes.h"
#include "engine/node.h"

namespace loragrad {
namespace {

using Block = std::function<Tensor(const Tensor&)>;

struct RecomputeNode final : Node {
  RecomputeNode(const Tensor& x, Block block) : block(std::move(block)) {
    set_inputs({x});
    save(x);
  }
  std::string_view name() const override { return "recompute"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Tensor x = saved(0).detach();
    // Not set_trainable(): activations are leaves of this tape in whatever type they have.
    x.impl()->trainable = sink.needs(0);
    {
      Tensor y = run_again(x);
      if (y.needs_grad()) loragrad::backward(y, dy);
    }
    if (Tensor dx = x.grad(); dx.defined()) {
      x.clear_grad();
      sink.pass(0, dx);
    }
  }
  /// The block's tape; its output has no values.
  Tensor run_again(const Tensor& x) const {
    LateValues late;
    Tensor y = block(x);
    y.impl()->storage->form = nullptr;
    return y;
  }
  Block block;
};

}  // namespace

Tensor recompute(const Tensor& x, Block block) {
  // The values of this first run's tape go away with `first`; whether there was one says if the block has leaves.
  Tensor first = block(x.detach());
  bool record = x.needs_grad() || first.needs_grad();
  Tensor y = first.detach();
  y.impl()->recipe = nullptr;  // it would keep the block's values alive
  return record ? attach(y, std::make_shared<RecomputeNode>(x, std::move(block))) : y;
}

}  // namespace loragrad

#include "ops/cross_entropy.h"

#include <cmath>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

/// dx and dW were computed with the loss; backward multiplies them by dy, a scalar.
struct CrossEntropyNode final : Node {
  CrossEntropyNode(const Tensor& x, const Tensor& head, const Tensor& dx, const Tensor& dw) {
    set_inputs({x, head});
    for (const Tensor& kept : {dx, dw}) save(kept);
  }
  std::string_view name() const override { return "cross_entropy"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    for (std::size_t i : {0u, 1u}) {
      if (!sink.needs(i)) continue;
      Tensor gradient = saved(i);
      dy.device()->kernels().scale(*dy.device(), {gradient.mutable_matrix(), dy.matrix()});
      sink.pass(i, gradient);
    }
  }
};

void check(const Tensor& x, const Parameter& head, const Targets& targets) {
  if (head.empty() || head.layout() != WeightLayout::out_in)
    throw ShapeError("cross_entropy: the head must be stored [vocab, d]");
  if (x.cols() != head.shape().cols)
    throw ShapeError("cross_entropy: x " + x.shape().text() + " does not fit the head " + head.shape().text());
  check_real("cross_entropy", "x", x.dtype());
  check_one_device("cross_entropy", x.device(), head.device());
  if (targets.rows != x.rows())
    throw ShapeError("cross_entropy: targets of " + std::to_string(targets.rows) + " tokens do not fit x " +
                     x.shape().text());
  if (targets.count() == 0) return;
  for (const Tensor* t : {&targets.tokens, &targets.ids}) {
    check_indices("cross_entropy", "targets", *t, {targets.count(), 1}, x.shape());
    check_one_device("cross_entropy", x.device(), t->device());
  }
}

}  // namespace

Targets make_targets(const DevicePtr& device, std::span<const std::int32_t> ids) {
  std::vector<std::int32_t> tokens, of_tokens;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    if (ids[t] < 0) continue;
    tokens.push_back(static_cast<std::int32_t>(t));
    of_tokens.push_back(ids[t]);
  }
  auto column = [&](const std::vector<std::int32_t>& values) {
    return Tensor::from(device, {static_cast<std::int64_t>(values.size()), 1}, values.data());
  };
  return {column(tokens), column(of_tokens), static_cast<std::int64_t>(ids.size())};
}

CrossEntropy cross_entropy(const Tensor& x, const Parameter& head, const Targets& targets, double denominator,
                           double soft_cap) {
  check(x, head, targets);
  if (!(soft_cap >= 0 && std::isfinite(soft_cap)))
    throw ShapeError("cross_entropy: soft_cap: expected 0 or more, found " + std::to_string(soft_cap));
  const DevicePtr& device = x.device();
  CrossEntropy result{Tensor::empty(device, {1, 1}, accumulation_type(x.dtype())),
                      Tensor::empty(device, {1, 1}, DType::f64)};
  Tensor dx, dw;
  HeadLossArgs args{.x = x.matrix(),
                    .head = head.view(),
                    .count = targets.count(),
                    .denominator = denominator,
                    .soft_cap = soft_cap,
                    .sum = result.sum.mutable_data<double>(),
                    .loss = result.loss.mutable_matrix(),
                    .dx = {},
                    .dhead = {}};
  if (args.count > 0) {
    args.tokens = targets.tokens.data<std::int32_t>();
    args.ids = targets.ids.data<std::int32_t>();
  }
  if (x.needs_grad()) {
    dx = Tensor::empty(device, x.shape(), x.dtype());
    args.dx = dx.mutable_matrix();
  }
  if (head.needs_grad()) {
    dw = Tensor::empty(device, head.shape(), head.dtype());
    args.dhead = dw.mutable_matrix();
  }
  device->kernels().head_loss(*device, args);
  if (needs_grad({&x, &head.tensor()}))
    attach(result.loss, std::make_shared<CrossEntropyNode>(x, head.tensor(), dx, dw));
  return result;
}

}  // namespace loragrad

#include "ops/elementwise.h"

#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

struct AddNode final : Node {
  AddNode(const Tensor& a, const Tensor& b) { set_inputs({a, b}); }
  std::string_view name() const override { return "add"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    for (std::size_t i : {0u, 1u})
      if (sink.needs(i)) sink.pass(i, dy);
  }
};

/// scale, and cast with factor 1: dx = factor dy.
struct ScaleNode final : Node {
  ScaleNode(std::string_view name, const Tensor& x, double factor) : op(name), factor(factor) { set_inputs({x}); }
  std::string_view name() const override { return op; }
  void backward(const Tensor& dy, GradSink& sink) override {
    if (factor == 1) return sink.pass(0, dy);
    auto dx = sink.into(0);
    dy.device()->kernels().accumulate(*dy.device(), {dy.matrix(), factor, dx.matrix, dx.beta});
  }
  std::string_view op;
  double factor;
};

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  check_equal_shapes("add", "a", a.shape(), "b", b.shape());
  check_one_device("add", a.device(), b.device());
  check_real("add", "a", a.dtype());
  check_real("add", "b", b.dtype());
  auto form = [](const Tensor& a, const Tensor& b, Matrix y) {
    a.device()->kernels().add(*a.device(), {.a = a.matrix(), .b = b.matrix(), .y = y});
  };
  Tensor y = Tensor::formed(a.device(), a.shape(), a.dtype(), form, a, b);
  return needs_grad({&a, &b}) ? attach(y, std::make_shared<AddNode>(a, b)) : y;
}

Tensor scale(const Tensor& x, double factor) {
  check_real("scale", "x", x.dtype());
  Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());
  x.device()->kernels().accumulate(*x.device(), {x.matrix(), factor, y.mutable_matrix(), 0});
  return needs_grad({&x}) ? attach(y, std::make_shared<ScaleNode>("scale", x, factor)) : y;
}

Tensor cast(const Tensor& x, DType dtype) {
  check_real("cast", "x", x.dtype());
  check_real("cast", "y", dtype);
  if (x.dtype() == dtype) return x;
  Tensor y = x.to(dtype);
  return needs_grad({&x}) ? attach(y, std::make_shared<ScaleNode>("cast", x, 1)) : y;
}

}  // namespace loragrad

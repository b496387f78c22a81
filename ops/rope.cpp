#include "ops/rope.h"

#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

RopeArgs arguments(const ConstMatrix& x, const Matrix& y, const Tensor& positions, const Tensor& frequencies) {
  return {.x = x,
          .y = y,
          .positions = positions.data<std::int32_t>(),
          .frequencies = frequencies.data<double>(),
          .head_dim = 2 * frequencies.cols()};
}

struct RopeNode final : Node {
  RopeNode(const Tensor& x, const Tensor& positions, const Tensor& frequencies) : frequencies(frequencies) {
    set_inputs({x});
    saved_positions = save(positions);
  }
  std::string_view name() const override { return "rope"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    auto dx = sink.into(0, dy);
    RopeArgs args = arguments(dy.matrix(), dx.matrix, saved(saved_positions), frequencies);
    args.inverse = true;
    args.beta = dx.beta;
    dy.device()->kernels().rope(*dy.device(), args);
  }
  Tensor frequencies;  // the model's, no activation
  std::size_t saved_positions;
};

}  // namespace

Tensor rope(const Tensor& x, const Tensor& positions, const Tensor& frequencies) {
  check_real("rope", "x", x.dtype());
  check_indices("rope", "positions", positions, {x.rows(), 1}, x.shape());
  check_one_device("rope", x.device(), positions.device());
  bool usable = frequencies.defined() && frequencies.rows() == 1 && frequencies.dtype() == DType::f64;
  std::int64_t head_dim = usable ? 2 * frequencies.cols() : 0;
  if (head_dim > 0) check_one_device("rope", x.device(), frequencies.device());
  if (head_dim == 0 || x.cols() % head_dim != 0)
    throw ShapeError("rope: x " + x.shape().text() + " is not made of heads of " + std::to_string(head_dim));
  Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());
  x.device()->kernels().rope(*x.device(), arguments(x.matrix(), y.mutable_matrix(), positions, frequencies));
  return needs_grad({&x}) ? attach(y, std::make_shared<RopeNode>(x, positions, frequencies)) : y;
}

}  // namespace loragrad

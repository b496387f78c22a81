#include "ops/rope.h"

#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

RopeArgs arguments(const ConstMatrix& x, const Matrix& y, const Tensor& positions, const RopeFrequencies& frequencies) {
  return {.x = x,
          .y = y,
          .positions = positions.data<std::int32_t>(),
          .frequencies = frequencies->data(),
          .head_dim = static_cast<std::int64_t>(2 * frequencies->size())};
}

struct RopeNode final : Node {
  RopeNode(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies) : frequencies(frequencies) {
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
  RopeFrequencies frequencies;
  std::size_t saved_positions;
};

}  // namespace

Tensor rope(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies) {
  check_real("rope", "x", x.dtype());
  check_indices("rope", "positions", positions, {x.rows(), 1}, x.shape());
  check_one_device("rope", x.device(), positions.device());
  auto head_dim = static_cast<std::int64_t>(frequencies ? 2 * frequencies->size() : 0);
  if (head_dim == 0 || x.cols() % head_dim != 0)
    throw ShapeError("rope: x " + x.shape().text() + " is not made of heads of " + std::to_string(head_dim));
  Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());
  x.device()->kernels().rope(*x.device(), arguments(x.matrix(), y.mutable_matrix(), positions, frequencies));
  return needs_grad({&x}) ? attach(y, std::make_shared<RopeNode>(x, positions, frequencies)) : y;
}

}  // namespace loragrad

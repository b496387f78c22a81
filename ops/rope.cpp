#include "ops/rope.h"

#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

struct RopeNode final : Node {
  RopeNode(const Tensor& x, const Tensor& turns, std::int64_t head_dim) : head_dim(head_dim) {
    set_inputs({x});
    saved_turns = save(turns);
  }
  std::string_view name() const override { return "rope"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    auto dx = sink.into(0, dy);
    dy.device()->kernels().rope(*dy.device(), {.x = dy.matrix(),
                                               .y = dx.matrix,
                                               .rotations = saved(saved_turns).matrix(),
                                               .head_dim = head_dim,
                                               .inverse = true,
                                               .beta = dx.beta});
  }
  std::int64_t head_dim;
  std::size_t saved_turns;
};

}  // namespace

Tensor rotations(const Tensor& positions, const Tensor& frequencies, DType dtype) {
  RowSpans one{{{0, static_cast<std::int32_t>(positions.rows())}}, {}};
  return rotations(positions, one, frequencies, dtype);
}

Tensor rotations(const Tensor& positions, const RowSpans& rows, const Tensor& frequencies, DType dtype) {
  check_indices("rotations", "positions", positions, {rows.first_token(rows.rows()), 1}, positions.shape());
  if (!frequencies.defined() || frequencies.rows() != rows.rows() || frequencies.dtype() != DType::f64)
    throw ShapeError("rotations: expected frequencies [" + std::to_string(rows.rows()) + ", n] in f64, found " +
                     frequencies.shape().text());
  check_one_device("rotations", positions.device(), frequencies.device());
  Device& device = *positions.device();
  Tensor y = Tensor::empty(positions.device(), {positions.rows(), 2 * frequencies.cols()}, accumulation_type(dtype));
  for (std::int64_t row = 0; row < rows.rows(); ++row) {
    std::int64_t first = rows.first_token(row), count = rows.first_token(row + 1) - first;
    device.kernels().rotations(device, {.positions = positions.rows(first, count).data<std::int32_t>(),
                                        .frequencies = frequencies.rows(row, 1).data<double>(),
                                        .y = y.rows(first, count).mutable_matrix()});
  }
  return y;
}

Tensor rope(const Tensor& x, const Tensor& turns, std::int64_t head_dim) {
  check_real("rope", "x", x.dtype());
  check_one_device("rope", x.device(), turns.device());
  if (head_dim < 1 || x.cols() % head_dim != 0)
    throw ShapeError("rope: x " + x.shape().text() + " is not made of heads of " + std::to_string(head_dim));
  if (turns.rows() != x.rows() || turns.cols() > head_dim || turns.cols() % 2 != 0 ||
      turns.dtype() != accumulation_type(x.dtype()))
    throw ShapeError("rope: rotations " + turns.shape().text() + " do not fit x " + x.shape().text() + " of heads of " +
                     std::to_string(head_dim));
  Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());
  x.device()->kernels().rope(
      *x.device(), {.x = x.matrix(), .y = y.mutable_matrix(), .rotations = turns.matrix(), .head_dim = head_dim});
  return needs_grad({&x}) ? attach(y, std::make_shared<RopeNode>(x, turns, head_dim)) : y;
}

}  // namespace loragrad

#include "ops/linear.h"

#include "engine/error.h"
#include "ops/checks.h"
#include "ops/gemm.h"
#include "ops/linear_node.h"

namespace loragrad {

void check_linear(const Tensor& x, const Parameter& w, const Parameter& bias) {
  check_real("linear", "x", x.dtype());
  if (w.empty()) throw ShapeError("linear: no weight for x " + x.shape().text());
  check_one_device("linear", x.device(), w.device());
  if (x.cols() != w.in_features())
    throw ShapeError("linear: x " + x.shape().text() + " does not fit w " + w.shape().text() +
                     " (in = " + std::to_string(w.in_features()) + ")");
  if (bias.empty()) return;
  check_one_device("linear", x.device(), bias.device());
  DType wanted = accumulation_type(x.dtype());
  if (bias.dtype() != wanted)
    throw ShapeError("linear: bias: expected " + std::string(name_of(wanted)) + " beside x of " +
                     std::string(name_of(x.dtype())) + ", found " + std::string(name_of(bias.dtype())));
  if (bias.shape() != Shape{1, w.out_features()})
    throw ShapeError("linear: bias " + bias.shape().text() + " does not fit w " + w.shape().text() +
                     " (out = " + std::to_string(w.out_features()) + ")");
}

void form_linear(const Tensor& x, const Weight& w, const Weight& bias, bool rows_alone, Matrix y) {
  gemm(*x.device(), {.c = y,
                     .a = x.matrix(),
                     .b = w.view(),
                     .transpose_b = w.layout() == WeightLayout::out_in,
                     .bias = bias.view().data,
                     .rows_alone = rows_alone});
}

LinearNode::LinearNode(const Tensor& x, const Parameter& w, const Parameter& bias, const std::vector<Tensor>& more)
    : w_(w) {
  std::vector<Tensor> inputs{x, w.tensor(), bias.tensor()};
  inputs.insert(inputs.end(), more.begin(), more.end());
  set_inputs(inputs);
  if (w.needs_grad()) saved_x_ = save(x);
}

void LinearNode::backward(const Tensor& dy, const Tensor& of_bias, GradSink& sink) {
  Device& device = *dy.device();
  bool in_out = is_in_out();
  if (sink.needs(2)) {
    auto db = sink.into(2);
    device.kernels().column_sum(device, {of_bias.matrix(), zeroed(device, db.matrix, db.beta)});
  }
  if (sink.needs(1)) {
    Tensor x = saved(*saved_x_);
    auto dw = sink.into(1);
    gemm(device, {.c = dw.matrix,
                  .a = in_out ? x.matrix() : dy.matrix(),
                  .b = in_out ? dy.matrix() : x.matrix(),
                  .transpose_a = true,
                  .beta = dw.beta});
  }
  if (sink.needs(0)) {
    auto dx = sink.into(0);
    gemm(device, {.c = dx.matrix, .a = dy.matrix(), .b = w(), .transpose_b = in_out, .beta = dx.beta});
  }
}

Tensor linear(const Tensor& x, const Parameter& w, const Parameter& bias, bool rows_alone) {
  check_linear(x, w, bias);
  Tensor y = Tensor::formed(x.device(), {x.rows(), w.out_features()}, x.dtype(), form_linear, x, w.weight(),
                            bias.weight(), rows_alone);
  return needs_grad({&x, &w.tensor(), &bias.tensor()}) ? attach(y, std::make_shared<LinearNode>(x, w, bias)) : y;
}

}  // namespace loragrad

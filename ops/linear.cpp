#include "ops/linear.h"

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

/// `bias`: none where it has no elements.
void check(const Tensor& x, std::int64_t in, std::int64_t out, Shape weight, const ConstMatrix& bias) {
  check_real("linear", "x", x.dtype());
  bool has_bias = bias.rows * bias.cols > 0;
  DType wanted = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  if (has_bias && bias.dtype != wanted)
    throw ShapeError("linear: bias: expected " + std::string(name_of(wanted)) + " beside x of " +
                     std::string(name_of(x.dtype())) + ", found " + std::string(name_of(bias.dtype)));
  if (x.cols() != in)
    throw ShapeError("linear: x " + x.shape().text() + " does not fit w " + weight.text() +
                     " (in = " + std::to_string(in) + ")");
  if (has_bias && bias.rows * bias.cols != out)
    throw ShapeError("linear: bias " + Shape{bias.rows, bias.cols}.text() + " does not fit w " + weight.text() +
                     " (out = " + std::to_string(out) + ")");
}

struct FrozenLinearNode final : Node {
  FrozenLinearNode(const Tensor& x, const Weight& w) : w(w) { set_inputs({x}); }
  std::string_view name() const override { return "linear"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    auto dx = sink.into(0);
    gemm(*dy.device(), {.c = dx.matrix,
                        .a = dy.matrix(),
                        .b = w.matrix(),
                        .transpose_b = w.layout() == WeightLayout::in_out,
                        .beta = dx.beta});
  }
  Weight w;
};

struct LinearNode final : Node {
  LinearNode(const Tensor& x, const Tensor& w, const Tensor& bias, WeightLayout layout) : layout(layout) {
    set_inputs({x, w, bias});
    if (w.needs_grad()) saved_x = save(x);
    if (x.needs_grad()) saved_w = save(w);
  }
  std::string_view name() const override { return "linear (trainable)"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Device& device = *dy.device();
    if (sink.needs(2)) {
      auto db = sink.into(2);
      device.kernels().column_sum(device, dy.matrix(), zeroed(device, db.matrix, db.beta));
    }
    if (sink.needs(1)) {
      Tensor x = saved(saved_x);
      auto dw = sink.into(1);
      bool in_out = layout == WeightLayout::in_out;
      gemm(device, {.c = dw.matrix,
                    .a = in_out ? x.matrix() : dy.matrix(),
                    .b = in_out ? dy.matrix() : x.matrix(),
                    .transpose_a = true,
                    .beta = dw.beta});
    }
    if (sink.needs(0)) {
      auto dx = sink.into(0);
      gemm(device, {.c = dx.matrix,
                    .a = dy.matrix(),
                    .b = saved(saved_w).matrix(),
                    .transpose_b = layout == WeightLayout::in_out,
                    .beta = dx.beta});
    }
  }
  WeightLayout layout;
  std::size_t saved_x = 0, saved_w = 0;
};

}  // namespace

Tensor linear(const Tensor& x, const Weight& w, const Weight& bias, Values values) {
  check(x, w.in_features(), w.out_features(), w.shape(), bias.matrix());
  Tensor y = Tensor::empty(x.device(), {x.rows(), w.out_features()}, x.dtype());
  if (values == Values::formed)
    gemm(*x.device(), {.c = y.mutable_matrix(),
                       .a = x.matrix(),
                       .b = w.matrix(),
                       .transpose_b = w.layout() == WeightLayout::out_in,
                       .bias = bias.data()});
  return needs_grad({&x}) ? attach(y, std::make_shared<FrozenLinearNode>(x, w)) : y;
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias, WeightLayout layout, Values values) {
  bool out_in = layout == WeightLayout::out_in;
  std::int64_t in = out_in ? w.cols() : w.rows(), out = out_in ? w.rows() : w.cols();
  ConstMatrix added = bias.defined() ? bias.matrix() : ConstMatrix{};
  check(x, in, out, w.shape(), added);
  Tensor y = Tensor::empty(x.device(), {x.rows(), out}, x.dtype());
  if (values == Values::formed)
    gemm(*x.device(),
         {.c = y.mutable_matrix(), .a = x.matrix(), .b = w.matrix(), .transpose_b = out_in, .bias = added.data});
  return needs_grad({&x, &w, &bias}) ? attach(y, std::make_shared<LinearNode>(x, w, bias, layout)) : y;
}

}  // namespace loragrad

#include "lora/magnitude.h"

#include "engine/error.h"
#include "lora/operand.h"
#include "ops/checks.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

Tensor norms(const Weight& w, const ConstMatrix& product, const ConstMatrix& b, DType dtype) {
  Tensor n = Tensor::empty(w.device(), {1, w.out_features()}, dtype);
  w.device()->kernels().weight_norms(*w.device(), {.w = w.view(),
                                                   .in_out = w.layout() == WeightLayout::in_out,
                                                   .product = product,
                                                   .b = b,
                                                   .norm = n.mutable_matrix()});
  return n;
}

}  // namespace

Tensor row_norms(const Weight& w) { return norms(w, {}, {}, DType::f32); }

Tensor row_norms(const Weight& w, const Tensor& a, const Tensor& b, double s) {
  Device& device = *w.device();
  // 2 s A Wᵀ + s² (A Aᵀ) Bᵀ, [r, out]: W is then the operand that may be of any type.
  Tensor gram = Tensor::empty(w.device(), {a.rows(), a.rows()}, a.dtype());
  Tensor product = Tensor::empty(w.device(), {a.rows(), w.out_features()}, a.dtype());
  gemm(device, {.c = gram.mutable_matrix(), .a = a.matrix(), .b = a.matrix(), .transpose_b = true});
  gemm(device, {.c = product.mutable_matrix(),
                .a = a.matrix(),
                .b = w.view(),
                .transpose_b = w.layout() == WeightLayout::out_in,
                .alpha = 2 * s});
  gemm(device, {.c = product.mutable_matrix(),
                .a = gram.matrix(),
                .b = b.matrix(),
                .transpose_b = true,
                .alpha = s * s,
                .beta = 1});
  return norms(w, product.matrix(), b.matrix(), a.dtype());
}

MagnitudeFactors magnitude_factors(const Tensor& m, const Tensor& norm) {
  MagnitudeFactors result{Tensor::empty(m.device(), m.shape(), m.dtype()),
                          Tensor::empty(m.device(), m.shape(), m.dtype())};
  Tensor n = operand(norm, m.dtype());
  m.device()->kernels().weight_norms(*m.device(), {.norm = n.mutable_matrix(),
                                                   .magnitude = m.matrix(),
                                                   .factor = result.factor.mutable_matrix(),
                                                   .inverse = result.inverse.mutable_matrix()});
  return result;
}

void FormedMagnitude::add_to(Matrix y, const ConstMatrix& x, const Weight& w, const Weight& bias, const ConstMatrix& l,
                             const Matrix& e) const {
  Device& device = *w.device();
  RescaleArgs args{.u = y, .l = l, .factors = factors.factor.matrix(), .weight = weight, .y = y, .e = e};
  if (!dropout.on()) {
    if (!bias.empty()) args.bias = bias.view();
    return device.kernels().rescale(device, args);
  }
  Tensor u = Tensor::empty(w.device(), {y.rows, y.cols}, y.dtype);  // W drop(x)
  gemm(device, {.c = u.mutable_matrix(),
                .a = x,
                .b = w.view(),
                .transpose_b = w.layout() == WeightLayout::out_in,
                .dropout = dropout.mask(),
                .dropped = Dropped::a});
  args.u = u.matrix();
  device.kernels().rescale(device, args);
}

void check_magnitude(const std::string& op, const DevicePtr& device, const Parameter& w, const LoraTerm& term) {
  for (const Tensor* row : {&term.magnitude.m, &term.magnitude.norm}) {
    if (!row->defined()) continue;
    if (row->shape() != Shape{1, w.out_features()})
      throw ShapeError(op + ": magnitude " + row->shape().text() +
                       " does not fit a weight of out = " + std::to_string(w.out_features()));
    check_one_device(op, device, row->device());
  }
  if (term.magnitude.m.defined() && w.needs_grad())
    throw UsageError(op + ": expected a frozen weight beside a magnitude, found one in training");
}

FormedMagnitude form_magnitude(const Parameter& w, const LoraTerm& term, IndexRange tokens) {
  const LoraMagnitude& magnitude = term.magnitude;
  if (!magnitude.m.defined()) return {};
  Tensor m = magnitude.m.detach();
  Tensor norm =
      magnitude.norm.defined() ? magnitude.norm : row_norms(w.weight(), term.a.detach(), term.b.detach(), term.scale);
  FormedMagnitude formed{magnitude_factors(m, norm), magnitude.weight, term.dropout};
  if (formed.dropout.on()) formed.dropout.tokens = formed.dropout.tokens.rows(tokens.begin, tokens.end - tokens.begin);
  return formed;
}

void scale_columns(Device& device, const ConstMatrix& dy, const Tensor& factor, double alpha, double offset, Matrix y) {
  device.kernels().scale_each(device, {.x = dy, .factors = factor.matrix(), .alpha = alpha, .offset = offset, .y = y});
}

}  // namespace loragrad

#include "lora/lora_linear.h"

#include <algorithm>

#include "engine/error.h"
#include "ops/checks.h"
#include "ops/gemm.h"
#include "ops/linear_node.h"

namespace loragrad {
namespace {

/// A or B as the products take it: the type of the activations. Converted once, for forward and backward.
Tensor operand(const Tensor& matrix, DType dtype) {
  return matrix.dtype() == dtype ? matrix.detach() : matrix.to(dtype);
}

/// A term as the products take it, and its h = drop(x) Aᵀ.
struct Formed {
  Tensor a, b, h;
  double scale;
  Dropout dropout;
  std::int64_t begin, count;  // tokens

  Formed(const Tensor& x, const LoraTerm& term)
      : a(operand(term.a, x.dtype())), b(operand(term.b, x.dtype())), scale(term.scale), dropout(term.dropout) {
    begin = std::clamp<std::int64_t>(term.tokens.begin, 0, x.rows());
    count = std::clamp<std::int64_t>(term.tokens.end, begin, x.rows()) - begin;
    if (dropout.on()) dropout.tokens = dropout.tokens.rows(begin, count);
    h = Tensor::empty(x.device(), {count, a.rows()}, x.dtype());
    gemm(*x.device(), {.c = h.mutable_matrix(),
                       .a = row_range(x.matrix(), begin, count),
                       .b = a.matrix(),
                       .transpose_b = true,
                       .dropout = dropout.mask(),
                       .dropped = Dropped::a});
  }
  /// y += s h Bᵀ
  void add_to(Matrix y) const {
    gemm(*h.device(), {.c = row_range(y, begin, count),
                       .a = h.matrix(),
                       .b = b.matrix(),
                       .transpose_b = true,
                       .alpha = scale,
                       .beta = 1});
  }
};

struct LoraLinearNode final : LinearNode {
  struct Term {
    double scale;
    Dropout dropout;
    std::int64_t begin, count;
    std::size_t a, b, x, h;
  };

  LoraLinearNode(const Tensor& x, const Parameter& w, const Parameter& bias, const std::vector<LoraTerm>& terms,
                 const std::vector<Formed>& formed)
      : LinearNode(x, w, bias, matrices_of(terms)) {
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const Formed& f = formed[i];
      // x stays in memory, or its recipe, once for all who share it; drop(x) is made again.
      this->terms.push_back({f.scale, f.dropout, f.begin, f.count, save(f.a), save(f.b),
                             terms[i].a.needs_grad() ? save(x) : 0, terms[i].b.needs_grad() ? save(f.h) : 0});
    }
  }

  std::string_view name() const override { return "lora_linear"; }

  void backward(const Tensor& dy, GradSink& sink) override {
    LinearNode::backward(dy, sink);
    for (std::size_t i = 0; i < terms.size(); ++i) backward_term(terms[i], 3 + 2 * i, dy, sink);
  }

  void backward_term(const Term& term, std::size_t input_a, const Tensor& dy, GradSink& sink) {
    Device& device = *dy.device();
    std::size_t input_b = input_a + 1;
    ConstMatrix dy_part = row_range(dy.matrix(), term.begin, term.count);
    if (sink.needs(input_b)) {  // dB = s dyᵀ h
      auto db = sink.into(input_b);
      gemm(device, {.c = db.matrix,
                    .a = dy_part,
                    .b = saved(term.h).matrix(),
                    .transpose_a = true,
                    .alpha = term.scale,
                    .beta = db.beta});
    }
    if (!sink.needs(0) && !sink.needs(input_a)) return;
    Tensor a = saved(term.a), b = saved(term.b);
    Tensor dh = Tensor::empty(dy.device(), {term.count, b.cols()}, dy.dtype());  // dh = s dy B
    gemm(device, {.c = dh.mutable_matrix(), .a = dy_part, .b = b.matrix(), .alpha = term.scale});
    DropoutMask mask = term.dropout.mask();
    if (sink.needs(input_a)) {  // dA = dhᵀ drop(x)
      Tensor x = saved(term.x);
      auto da = sink.into(input_a);
      gemm(device, {.c = da.matrix,
                    .a = dh.matrix(),
                    .b = row_range(x.matrix(), term.begin, term.count),
                    .transpose_a = true,
                    .beta = da.beta,
                    .dropout = mask,
                    .dropped = Dropped::b});
    }
    if (sink.needs(0)) {  // dx += drop(dh A)
      auto dx = sink.into(0);
      gemm(device, {.c = row_range(dx.matrix, term.begin, term.count),
                    .a = dh.matrix(),
                    .b = a.matrix(),
                    .beta = dx.beta,
                    .dropout = mask,
                    .dropped = Dropped::product});
    }
  }

  static std::vector<Tensor> matrices_of(const std::vector<LoraTerm>& terms) {
    std::vector<Tensor> matrices;
    for (const LoraTerm& term : terms) matrices.insert(matrices.end(), {term.a, term.b});
    return matrices;
  }

  std::vector<Term> terms;
};

void check(const Tensor& x, const Parameter& w, const LoraTerm& term) {
  if (term.a.cols() != w.in_features() || term.b.rows() != w.out_features() || term.a.rows() != term.b.cols())
    throw ShapeError("lora_linear: A " + term.a.shape().text() + " and B " + term.b.shape().text() +
                     " do not fit a weight of in = " + std::to_string(w.in_features()) +
                     ", out = " + std::to_string(w.out_features()));
  for (const Tensor* matrix : {&term.a, &term.b}) check_one_device("lora_linear", x.device(), matrix->device());
  if (!term.dropout.on()) return;
  check_indices("lora_linear", "dropout's tokens", term.dropout.tokens, {x.rows(), 2}, x.shape());
  check_one_device("lora_linear", x.device(), term.dropout.tokens.device());
}

}  // namespace

Tensor lora_linear(const Tensor& x, const Parameter& w, const Parameter& bias, const std::vector<LoraTerm>& terms) {
  check_linear(x, w, bias);
  bool record = needs_grad({&x, &w.tensor(), &bias.tensor()});
  std::vector<Formed> formed;
  for (const LoraTerm& term : terms) {
    check(x, w, term);
    record = record || needs_grad({&term.a, &term.b});
    formed.emplace_back(x, term);
  }
  auto form = [](const Tensor& x, const Weight& w, const Weight& bias, const std::vector<Formed>& terms, Matrix y) {
    form_linear(x, w, bias, y);
    for (const Formed& term : terms) term.add_to(y);
  };
  Tensor y =
      Tensor::formed(x.device(), {x.rows(), w.out_features()}, x.dtype(), form, x, w.weight(), bias.weight(), formed);
  return record ? attach(y, std::make_shared<LoraLinearNode>(x, w, bias, terms, formed)) : y;
}

}  // namespace loragrad

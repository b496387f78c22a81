#include "lora/lora_linear.h"

#include <algorithm>

#include "engine/error.h"
#include "ops/checks.h"
#include "ops/gemm.h"
#include "ops/linear_node.h"

namespace loragrad {
namespace {

// Of dropped-out copies that exist at a time in backward: such a piece stays in the cache.
constexpr std::int64_t piece_bytes = 4 << 20;

DropoutMask rows_of(DropoutMask mask, std::int64_t begin) {
  if (mask.tokens) mask.tokens += 2 * begin;
  return mask;
}

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
    Tensor part = x.detach().rows(begin, count);
    h = Tensor::empty(x.device(), {count, a.rows()}, x.dtype());
    gemm(*x.device(), {.c = h.mutable_matrix(),
                       .a = loragrad::dropout(part, dropout).matrix(),
                       .b = a.matrix(),
                       .transpose_b = true});
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
    if (sink.needs(input_a)) backward_a(term, dh, sink.into(input_a));
    if (sink.needs(0)) {
      GradSink::Into dx = sink.into(0);
      dx.matrix = row_range(dx.matrix, term.begin, term.count);
      backward_x(term, dh, a, dx);
    }
  }

  /// dA = dhᵀ drop(x)
  void backward_a(const Term& term, const Tensor& dh, GradSink::Into da) {
    Device& device = *dh.device();
    Tensor x = saved(term.x).rows(term.begin, term.count);
    if (!term.dropout.on())
      return gemm(device, {.c = da.matrix, .a = dh.matrix(), .b = x.matrix(), .transpose_a = true, .beta = da.beta});
    for_pieces(dh, x.cols(), [&](std::int64_t begin, const ConstMatrix& part, Matrix dropped) {
      device.kernels().dropout(
          device,
          {.x = row_range(x.matrix(), begin, part.rows), .y = dropped, .mask = rows_of(term.dropout.mask(), begin)});
      gemm(device, {.c = da.matrix, .a = part, .b = dropped, .transpose_a = true, .beta = begin == 0 ? da.beta : 1});
    });
  }

  /// dx += drop(dh A)
  void backward_x(const Term& term, const Tensor& dh, const Tensor& a, GradSink::Into dx) {
    Device& device = *dh.device();
    if (!term.dropout.on()) return gemm(device, {.c = dx.matrix, .a = dh.matrix(), .b = a.matrix(), .beta = dx.beta});
    for_pieces(dh, a.cols(), [&](std::int64_t begin, const ConstMatrix& part, Matrix product) {
      gemm(device, {.c = product, .a = part, .b = a.matrix()});
      device.kernels().dropout(device, {.x = product,
                                        .y = row_range(dx.matrix, begin, part.rows),
                                        .mask = rows_of(term.dropout.mask(), begin),
                                        .beta = dx.beta});
    });
  }

  /// Calls f(first row, rows of dh, memory of as many rows and `cols` columns) for pieces of dh; for one if dh is
  /// empty.
  template <class F>
  static void for_pieces(const Tensor& dh, std::int64_t cols, F f) {
    std::int64_t fit = piece_bytes / (cols * static_cast<std::int64_t>(size_of(dh.dtype())));
    std::int64_t rows = std::min(std::max<std::int64_t>(fit / 16 * 16, 256), dh.rows()), begin = 0;
    Tensor memory = Tensor::empty(dh.device(), {rows, cols}, dh.dtype());
    do {
      std::int64_t count = std::min(rows, dh.rows() - begin);
      f(begin, row_range(dh.matrix(), begin, count), row_range(memory.mutable_matrix(), 0, count));
      begin += count;
    } while (begin < dh.rows());
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
  if (term.dropout.on() && (!term.dropout.tokens.defined() || term.dropout.tokens.rows() != x.rows()))
    throw ShapeError("lora_linear: dropout needs one (row, position) for each of x's " + std::to_string(x.rows()) +
                     " tokens");
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
  Tensor y = Tensor::formed(x.device(), {x.rows(), w.out_features()}, x.dtype(),
                            [x = x.detach(), w = w.weight(), bias = bias.weight(), formed](Matrix y) {
                              form_linear(x, w, bias, y);
                              for (const Formed& term : formed) term.add_to(y);
                            });
  return record ? attach(y, std::make_shared<LoraLinearNode>(x, w, bias, terms, formed)) : y;
}

}  // namespace loragrad

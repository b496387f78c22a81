#include "ops/cross_entropy.h"

#include <cmath>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

/// What all terms add is u Bᵀ, for all tokens: u has s h of each, zero where the term is not, and b their B side by side.
/// Terms of one B, such as an adapter's in several ranges of tokens, share its columns.
class JoinedTerms {
 public:
  JoinedTerms(const Tensor& x, const std::vector<HeadTerm>& terms) {
    std::int64_t width = 0;
    for (std::size_t i = 0; i < terms.size(); ++i) {
      std::size_t same = 0;
      while (same < i && terms[same].b.impl() != terms[i].b.impl()) ++same;
      first_of_b.push_back(same == i);
      begins.push_back(same == i ? width : begins[same]);
      if (same == i) width += terms[i].b.cols();
      needs_du = needs_du || terms[i].h.needs_grad();
      needs_db = needs_db || terms[i].b.needs_grad();
    }
    if (width == 0) return;
    Device& device = *x.device();
    const HeadTerm& first = terms.front();
    bool is_joined = width == first.b.cols() && first.b.dtype() == x.dtype();
    b = is_joined ? first.b.detach() : Tensor::empty(x.device(), {first.b.rows(), width}, x.dtype());
    u = Tensor::zeros(x.device(), {x.rows(), width}, x.dtype());
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const HeadTerm& term = terms[i];
      std::int64_t rank = term.b.cols();
      Matrix own = row_range(column_range(u.mutable_matrix(), begins[i], rank), term.tokens.begin, term.h.rows());
      device.kernels().accumulate(device, {term.h.matrix(), term.scale, own, 1});
      if (first_of_b[i] && !is_joined)
        device.kernels().accumulate(device, {term.b.matrix(), 1, column_range(b.mutable_matrix(), begins[i], rank), 0});
    }
  }

  Tensor u, b;
  std::vector<std::int64_t> begins;  // of each term's columns
  std::vector<bool> first_of_b;      // whose gradient they give
  bool needs_du = false, needs_db = false;
};

/// The gradients that were computed with the loss; backward multiplies them by dy, a scalar.
struct Gradients {
  Tensor dx, dhead, du, db;  // undefined where they are not needed
};

struct CrossEntropyNode final : Node {
  CrossEntropyNode(const Tensor& x, const Tensor& head, const std::vector<HeadTerm>& terms, const JoinedTerms& joined,
                   const Gradients& made)
      : has_du_(made.du.defined()), has_db_(made.db.defined()) {
    std::vector<Tensor> inputs{x, head};
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const HeadTerm& term = terms[i];
      inputs.insert(inputs.end(), {term.h, term.b});
      terms_.push_back(
          {term.tokens.begin, term.h.rows(), joined.begins[i], term.b.cols(), term.scale, joined.first_of_b[i]});
    }
    set_inputs(inputs);
    for (const Tensor& kept : {made.dx, made.dhead, made.du, made.db}) save(kept);
  }
  std::string_view name() const override { return "cross_entropy"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    for (std::size_t i : {0u, 1u})
      if (sink.needs(i)) sink.pass(i, times(dy, i));
    Tensor du = has_du_ ? times(dy, 2) : Tensor(), db = has_db_ ? times(dy, 3) : Tensor();
    Device& device = *dy.device();
    for (std::size_t i = 0; i < terms_.size(); ++i) {
      const Term& term = terms_[i];
      if (sink.needs(2 + 2 * i)) {  // dh = s du
        auto dh = sink.into(2 + 2 * i);
        ConstMatrix own = row_range(column_range(du.matrix(), term.begin, term.rank), term.first, term.count);
        device.kernels().accumulate(device, {own, term.scale, dh.matrix, dh.beta});
      }
      if (sink.needs(3 + 2 * i) && term.is_first_of_b) {
        auto into = sink.into(3 + 2 * i);
        ConstMatrix own = column_range(db.matrix(), term.begin, term.rank);
        device.kernels().accumulate(device, {own, 1, into.matrix, into.beta});
      }
    }
  }

 private:
  struct Term {
    std::int64_t first, count, begin, rank;
    double scale;
    bool is_first_of_b;
  };

  Tensor times(const Tensor& dy, std::size_t i) {
    Tensor gradient = saved(i);
    dy.device()->kernels().scale(*dy.device(), {gradient.mutable_matrix(), dy.matrix()});
    return gradient;
  }

  std::vector<Term> terms_;
  bool has_du_, has_db_;
};

void check_term(const Tensor& x, const Parameter& head, const HeadTerm& term) {
  std::int64_t count = term.tokens.end - term.tokens.begin;
  if (term.h.cols() != term.b.cols() || term.b.rows() != head.shape().rows || term.h.rows() != count ||
      term.tokens.begin < 0 || count < 0 || term.tokens.end > x.rows())
    throw ShapeError("cross_entropy: h " + term.h.shape().text() + " and B " + term.b.shape().text() +
                     " do not fit x " + x.shape().text() + " and the head " + head.shape().text());
  for (const Tensor* t : {&term.h, &term.b}) check_one_device("cross_entropy", x.device(), t->device());
}

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
                           double soft_cap, const std::vector<HeadTerm>& terms) {
  check(x, head, targets);
  for (const HeadTerm& term : terms) check_term(x, head, term);
  if (!(soft_cap >= 0 && std::isfinite(soft_cap)))
    throw ShapeError("cross_entropy: soft_cap: expected 0 or more, found " + std::to_string(soft_cap));
  const DevicePtr& device = x.device();
  CrossEntropy result{Tensor::empty(device, {1, 1}, accumulation_type(x.dtype())),
                      Tensor::empty(device, {1, 1}, DType::f64)};
  Gradients made;
  JoinedTerms joined(x, terms);
  HeadLossArgs args{.x = x.matrix(),
                    .head = head.view(),
                    .count = targets.count(),
                    .denominator = denominator,
                    .soft_cap = soft_cap,
                    .sum = result.sum.mutable_data<double>(),
                    .loss = result.loss.mutable_matrix(),
                    .dx = {},
                    .dhead = {},
                    .term = {}};
  if (args.count > 0) {
    args.tokens = targets.tokens.data<std::int32_t>();
    args.ids = targets.ids.data<std::int32_t>();
  }
  auto make = [&](Tensor& gradient, Shape shape, DType dtype) {
    gradient = Tensor::empty(device, shape, dtype);
    return gradient.mutable_matrix();
  };
  if (x.needs_grad()) args.dx = make(made.dx, x.shape(), x.dtype());
  if (head.needs_grad()) args.dhead = make(made.dhead, head.shape(), head.dtype());
  if (joined.u.defined()) {
    args.term.u = joined.u.matrix();
    args.term.b = joined.b.matrix();
    if (joined.needs_du) args.term.du = make(made.du, joined.u.shape(), x.dtype());
    if (joined.needs_db) args.term.db = make(made.db, joined.b.shape(), accumulation_type(x.dtype()));
  }
  device->kernels().head_loss(*device, args);
  bool record = needs_grad({&x, &head.tensor()}) || joined.needs_du || joined.needs_db;
  if (record) attach(result.loss, std::make_shared<CrossEntropyNode>(x, head.tensor(), terms, joined, made));
  return result;
}

}  // namespace loragrad

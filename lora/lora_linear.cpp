#include "lora/lora_linear.h"

#include <algorithm>

#include "engine/error.h"
#include "lora/lora_down.h"
#include "lora/magnitude.h"
#include "lora/operand.h"
#include "ops/checks.h"
#include "ops/gemm.h"
#include "ops/linear_node.h"

namespace loragrad {
namespace {

IndexRange tokens_of(const LoraTerm& term, const Tensor& x) {
  std::int64_t begin = std::clamp<std::int64_t>(term.tokens.begin, 0, x.rows());
  return {begin, std::clamp<std::int64_t>(term.tokens.end, begin, x.rows())};
}

/// A term whose h is there, with B as the products take it.
struct Formed {
  Tensor h, b, b_bias;
  double scale;
  IndexRange tokens;
  bool rows_alone;
  FormedMagnitude magnitude = {};
  Tensor e = {};  // beside a magnitude in training: W drop(x) + s h Bᵀ

  template <class M>
  M part(const M& matrix) const {
    return row_range(matrix, tokens.begin, tokens.end - tokens.begin);
  }

  /// s h Bᵀ + beta y
  void product(Matrix y, double beta) const {
    gemm(*h.device(), {.c = y,
                       .a = h.matrix(),
                       .b = b.matrix(),
                       .transpose_b = true,
                       .alpha = scale,
                       .beta = beta,
                       .rows_alone = rows_alone});
  }

  /// y = W x + bias is rescaled.
  void rescale(const Tensor& x, const Weight& w, const Weight& bias, Matrix y) const {
    Tensor l = e.defined() ? e : Tensor::empty(h.device(), {h.rows(), y.cols}, y.dtype);
    product(l.mutable_matrix(), 0);
    magnitude.add_to(part(y), part(x.matrix()), w, bias, l.matrix(), e.defined() ? l.mutable_matrix() : Matrix());
  }

  /// y += s (h Bᵀ + b)
  void add_to(Matrix y) const {
    Device& device = *h.device();
    Matrix part = this->part(y);
    product(part, 1);
    if (!b_bias.defined()) return;
    // One row for all of y's: not every library scales a product's own bias.
    ConstMatrix rows = b_bias.matrix();
    rows.rows = part.rows;
    rows.stride = 0;
    device.kernels().accumulate(device, {rows, scale, part, 1});
  }
};

struct LoraLinearNode final : LinearNode {
  struct Term {
    double scale;
    IndexRange tokens;
    std::size_t b, h;
    // Beside a magnitude:
    bool rescales = false;
    double weight = 1;
    Dropout dropout = {};
    std::size_t factor = 0, inverse = 0, e = 0;

    std::int64_t count() const { return tokens.end - tokens.begin; }
    template <class M>
    M part(const M& matrix) const {
      return row_range(matrix, tokens.begin, count());
    }
  };

  LoraLinearNode(const Tensor& x, const LoraMap& map, const std::vector<Formed>& formed)
      : LinearNode(x, map.w, map.bias, inputs_of(map, formed)) {
    for (std::size_t i = 0; i < formed.size(); ++i) {
      const Formed& f = formed[i];
      Term& term = terms.emplace_back(Term{f.scale, f.tokens, save(f.b), map.terms[i].b.needs_grad() ? save(f.h) : 0});
      if (!f.magnitude.defined()) continue;
      term.rescales = true;
      term.weight = f.magnitude.weight;
      term.dropout = f.magnitude.dropout;
      term.factor = save(f.magnitude.factors.factor);
      if (!f.e.defined()) continue;
      term.inverse = save(f.magnitude.factors.inverse);
      term.e = save(f.e);
    }
  }

  std::string_view name() const override { return "lora_linear"; }

  void backward(const Tensor& dy, GradSink& sink) override {
    Tensor of_product = gradient_of_product(dy, sink);
    LinearNode::backward(of_product, dy, sink);
    for (std::size_t i = 0; i < terms.size(); ++i) {
      std::size_t input_h = 3 + inputs_of_term * i;
      if (terms[i].rescales)
        backward_magnitude(terms[i], input_h, dy, of_product, sink);
      else
        backward_term(terms[i], input_h, terms[i].part(dy.matrix()), sink);
    }
  }

  /// Of W x: a magnitude without dropout scales it, (1 + weight (c - 1)) ∘ dy.
  Tensor gradient_of_product(const Tensor& dy, const GradSink& sink) const {
    Tensor result = dy;
    if (!sink.needs(0)) return result;
    for (const Term& term : terms) {
      if (!term.rescales || term.dropout.on()) continue;
      if (result.impl() == dy.impl())
        result = term.count() == dy.rows() ? Tensor::empty(dy.device(), dy.shape(), dy.dtype()) : dy.to(dy.dtype());
      scale_columns(*dy.device(), term.part(dy.matrix()), saved(term.factor), term.weight, 1 - term.weight,
                    term.part(result.mutable_matrix()));
    }
    return result;
  }

  void backward_magnitude(const Term& term, std::size_t input_h, const Tensor& dy, const Tensor& of_product,
                          GradSink& sink) {
    Device& device = *dy.device();
    ConstMatrix part = term.part(dy.matrix());
    Tensor factor = saved(term.factor), scaled;
    if (sink.needs(input_h + 3)) {  // dm = weight colsum(dy ∘ e) / n
      Tensor sums = Tensor::zeros(dy.device(), {1, dy.cols()}, accumulation_type(dy.dtype()));
      device.kernels().column_dot(device, {.a = part, .b = saved(term.e).matrix(), .out = sums.mutable_matrix()});
      auto dm = sink.into(input_h + 3);
      device.kernels().scale_each(device, {.x = sums.matrix(),
                                           .factors = saved(term.inverse).matrix(),
                                           .alpha = term.weight,
                                           .y = dm.matrix,
                                           .beta = dm.beta});
    }
    if (term.dropout.on() && sink.needs(0)) {  // dx += drop((weight (c - 1) ∘ dy) W)
      scaled = Tensor::empty(dy.device(), {part.rows, part.cols}, dy.dtype());
      scale_columns(device, part, factor, term.weight, -term.weight, scaled.mutable_matrix());
      auto dx = sink.into(0);
      gemm(device, {.c = term.part(dx.matrix),
                    .a = scaled.matrix(),
                    .b = w(),
                    .transpose_b = is_in_out(),
                    .beta = dx.beta,
                    .dropout = term.dropout.mask(),
                    .dropped = Dropped::product});
    }
    if (term.weight == 1 && of_product.impl() != dy.impl() && !term.dropout.on())
      return backward_term(term, input_h, term.part(of_product.matrix()), sink);
    if (!scaled.defined()) scaled = Tensor::empty(dy.device(), {part.rows, part.cols}, dy.dtype());
    scale_columns(device, part, factor, term.weight, 0, scaled.mutable_matrix());
    backward_term(term, input_h, scaled.matrix(), sink);
  }

  /// dy_part: of what the term is multiplied to, for its tokens.
  void backward_term(const Term& term, std::size_t input_h, const ConstMatrix& dy_part, GradSink& sink) {
    DevicePtr on = saved(term.b).device();
    Device& device = *on;
    std::size_t input_b = input_h + 1, input_b_bias = input_h + 2;
    if (sink.needs(input_b)) {  // dB = s dyᵀ h
      auto db = sink.into(input_b);
      gemm(device, {.c = db.matrix,
                    .a = dy_part,
                    .b = saved(term.h).matrix(),
                    .transpose_a = true,
                    .alpha = term.scale,
                    .beta = db.beta});
    }
    if (sink.needs(input_h)) {  // dh = s dy B
      auto dh = sink.into(input_h);
      gemm(device, {.c = dh.matrix, .a = dy_part, .b = saved(term.b).matrix(), .alpha = term.scale, .beta = dh.beta});
    }
    if (sink.needs(input_b_bias)) {  // db = s times the column sums of dy
      Tensor sums = Tensor::zeros(on, {1, dy_part.cols}, accumulation_type(dy_part.dtype));
      device.kernels().column_sum(device, {dy_part, sums.mutable_matrix()});
      auto db = sink.into(input_b_bias);
      device.kernels().accumulate(device, {sums.matrix(), term.scale, db.matrix, db.beta});
    }
  }

  static constexpr std::size_t inputs_of_term = 4;
  static std::vector<Tensor> inputs_of(const LoraMap& map, const std::vector<Formed>& formed) {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < formed.size(); ++i)
      inputs.insert(inputs.end(), {formed[i].h, map.terms[i].b, map.terms[i].b_bias, map.terms[i].magnitude.m});
    return inputs;
  }

  std::vector<Term> terms;
};

void check(const Tensor& x, const Parameter& w, const LoraTerm& term) {
  if (term.a.cols() != w.in_features() || term.b.rows() != w.out_features() || term.a.rows() != term.b.cols())
    throw ShapeError("lora_linear: A " + term.a.shape().text() + " and B " + term.b.shape().text() +
                     " do not fit a weight of in = " + std::to_string(w.in_features()) +
                     ", out = " + std::to_string(w.out_features()));
  check_magnitude(x, w, term);
  for (const Tensor* matrix : {&term.a, &term.b}) check_one_device("lora_linear", x.device(), matrix->device());
  if (term.b_bias.defined()) {
    if (term.b_bias.shape() != Shape{1, w.out_features()})
      throw ShapeError("lora_linear: B's bias " + term.b_bias.shape().text() +
                       " does not fit a weight of out = " + std::to_string(w.out_features()));
    check_one_device("lora_linear", x.device(), term.b_bias.device());
  }
  if (!term.dropout.on()) return;
  check_indices("lora_linear", "dropout's tokens", term.dropout.tokens, {x.rows(), 2}, x.shape());
  check_one_device("lora_linear", x.device(), term.dropout.tokens.device());
}

/// A magnitude rescales the map's own output, once.
void check_magnitudes_apart(const Tensor& x, const std::vector<LoraTerm>& terms) {
  for (std::size_t i = 0; i < terms.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      if (!terms[i].magnitude.m.defined() || !terms[j].magnitude.m.defined()) continue;
      IndexRange one = tokens_of(terms[i], x), other = tokens_of(terms[j], x);
      if (std::max(one.begin, other.begin) < std::min(one.end, other.end))
        throw UsageError("lora_linear: expected at most one magnitude for a token, found two");
    }
}

/// The h of every term, those of the same tokens side by side.
std::vector<std::vector<Formed>> form_terms(const Tensor& x, const std::vector<LoraMap>& maps) {
  std::vector<std::vector<Formed>> formed(maps.size());
  struct Group {
    IndexRange tokens;
    std::vector<LoraFactor> factors;
    std::vector<Formed*> terms;
  };
  std::vector<Group> groups;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    formed[i].reserve(maps[i].terms.size());
    for (const LoraTerm& term : maps[i].terms) {
      IndexRange tokens = tokens_of(term, x);
      formed[i].push_back({{},
                           operand(term.b, x.dtype()),
                           term.b_bias.detach(),
                           term.scale,
                           tokens,
                           term.rows_alone,
                           form_magnitude(maps[i].w, term, tokens)});
      if (needs_grad({&term.magnitude.m}))
        formed[i].back().e =
            Tensor::empty(x.device(), {tokens.end - tokens.begin, maps[i].w.out_features()}, x.dtype());
      auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
        return g.tokens.begin == tokens.begin && g.tokens.end == tokens.end;
      });
      if (group == groups.end()) group = groups.insert(group, Group{tokens, {}, {}});
      group->factors.push_back({term.a, term.dropout, term.rows_alone});
      group->terms.push_back(&formed[i].back());
    }
  }
  for (const Group& group : groups) {
    Tensor h = lora_down(x, group.factors, group.tokens);
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < group.terms.size(); ++i) {
      std::int64_t rank = group.factors[i].a.rows();
      group.terms[i]->h = h.cols(begin, rank);
      begin += rank;
    }
  }
  return formed;
}

Tensor form_map(const Tensor& x, const LoraMap& map, const std::vector<Formed>& terms) {
  auto form = [](const Tensor& x, const Weight& w, const Weight& bias, bool rows_alone,
                 const std::vector<Formed>& terms, Matrix y) {
    form_linear(x, w, bias, rows_alone, y);
    for (const Formed& term : terms)  // while y is the map's own
      if (term.magnitude.defined()) term.rescale(x, w, bias, y);
    for (const Formed& term : terms)
      if (!term.magnitude.defined()) term.add_to(y);
  };
  Tensor y = Tensor::formed(x.device(), {x.rows(), map.w.out_features()}, x.dtype(), form, x, map.w.weight(),
                            map.bias.weight(), map.rows_alone, terms);
  bool record = needs_grad({&x, &map.w.tensor(), &map.bias.tensor()});
  for (std::size_t i = 0; i < terms.size(); ++i)
    record = record || needs_grad({&terms[i].h, &map.terms[i].b, &map.terms[i].b_bias, &map.terms[i].magnitude.m});
  return record ? attach(y, std::make_shared<LoraLinearNode>(x, map, terms)) : y;
}

}  // namespace

std::vector<Tensor> lora_linears(const Tensor& x, const std::vector<LoraMap>& maps) {
  for (const LoraMap& map : maps) {
    check_linear(x, map.w, map.bias);
    for (const LoraTerm& term : map.terms) check(x, map.w, term);
    check_magnitudes_apart(x, map.terms);
  }
  std::vector<std::vector<Formed>> formed = form_terms(x, maps);
  std::vector<Tensor> results;
  for (std::size_t i = 0; i < maps.size(); ++i)
    results.push_back(maps[i].terms.empty() ? linear(x, maps[i].w, maps[i].bias, maps[i].rows_alone)
                                            : form_map(x, maps[i], formed[i]));
  return results;
}

Tensor lora_linear(const Tensor& x, const Parameter& w, const Parameter& bias, const std::vector<LoraTerm>& terms) {
  return lora_linears(x, {{w, bias, terms}}).front();
}

}  // namespace loragrad

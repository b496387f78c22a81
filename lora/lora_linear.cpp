#include "lora/lora_linear.h"

#include <algorithm>

#include "engine/error.h"
#include "lora/lora_down.h"
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
  Tensor h, b;
  double scale;
  IndexRange tokens;
  bool rows_alone;

  /// y += s h Bᵀ
  void add_to(Matrix y) const {
    gemm(*h.device(), {.c = row_range(y, tokens.begin, tokens.end - tokens.begin),
                       .a = h.matrix(),
                       .b = b.matrix(),
                       .transpose_b = true,
                       .alpha = scale,
                       .beta = 1,
                       .rows_alone = rows_alone});
  }
};

struct LoraLinearNode final : LinearNode {
  struct Term {
    double scale;
    IndexRange tokens;
    std::size_t b, h;
  };

  LoraLinearNode(const Tensor& x, const LoraMap& map, const std::vector<Formed>& formed)
      : LinearNode(x, map.w, map.bias, inputs_of(map, formed)) {
    for (std::size_t i = 0; i < formed.size(); ++i) {
      const Formed& f = formed[i];
      terms.push_back({f.scale, f.tokens, save(f.b), map.terms[i].b.needs_grad() ? save(f.h) : 0});
    }
  }

  std::string_view name() const override { return "lora_linear"; }

  void backward(const Tensor& dy, GradSink& sink) override {
    LinearNode::backward(dy, sink);
    for (std::size_t i = 0; i < terms.size(); ++i) backward_term(terms[i], 3 + 2 * i, dy, sink);
  }

  void backward_term(const Term& term, std::size_t input_h, const Tensor& dy, GradSink& sink) {
    Device& device = *dy.device();
    std::size_t input_b = input_h + 1;
    ConstMatrix dy_part = row_range(dy.matrix(), term.tokens.begin, term.tokens.end - term.tokens.begin);
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
  }

  static std::vector<Tensor> inputs_of(const LoraMap& map, const std::vector<Formed>& formed) {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < formed.size(); ++i) inputs.insert(inputs.end(), {formed[i].h, map.terms[i].b});
    return inputs;
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
      formed[i].push_back({{}, operand(term.b, x.dtype()), term.scale, tokens, term.rows_alone});
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
    for (const Formed& term : terms) term.add_to(y);
  };
  Tensor y = Tensor::formed(x.device(), {x.rows(), map.w.out_features()}, x.dtype(), form, x, map.w.weight(),
                            map.bias.weight(), map.rows_alone, terms);
  bool record = needs_grad({&x, &map.w.tensor(), &map.bias.tensor()});
  for (std::size_t i = 0; i < terms.size(); ++i) record = record || needs_grad({&terms[i].h, &map.terms[i].b});
  return record ? attach(y, std::make_shared<LoraLinearNode>(x, map, terms)) : y;
}

}  // namespace

std::vector<Tensor> lora_linears(const Tensor& x, const std::vector<LoraMap>& maps) {
  for (const LoraMap& map : maps) {
    check_linear(x, map.w, map.bias);
    for (const LoraTerm& term : map.terms) check(x, map.w, term);
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

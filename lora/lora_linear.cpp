#include "lora/lora_linear.h"

#include <algorithm>

#include "lora/lora_down.h"
#include "lora/lora_up_node.h"
#include "ops/gemm.h"
#include "ops/linear_node.h"

namespace loragrad {
namespace {

struct LoraLinearNode final : LoraUpNode<LinearNode> {
  LoraLinearNode(const Tensor& x, const LoraMap& map, const std::vector<FormedTerm>& formed)
      : LoraUpNode(3, map, formed, x, map.w, map.bias) {}

  std::string_view name() const override { return "lora_linear"; }

  void backward(const Tensor& dy, GradSink& sink) override {
    Tensor of_product = gradient_of_product(dy, sink);
    LinearNode::backward(of_product, dy, sink);
    for (const Term& term : terms()) {
      if (term.rescales)
        backward_rescaled(term, dy, of_product, sink);
      else
        backward_product(term, term.part(dy.matrix()), sink);
    }
  }

 private:
  /// Of W x: a magnitude without dropout scales it, (1 + weight (c - 1)) ∘ dy.
  Tensor gradient_of_product(const Tensor& dy, const GradSink& sink) const {
    Tensor result = dy;
    if (!sink.needs(0)) return result;
    for (const Term& term : terms()) {
      if (!term.rescales || term.dropout.on()) continue;
      if (result.impl() == dy.impl())
        result = term.count() == dy.rows() ? Tensor::empty(dy.device(), dy.shape(), dy.dtype()) : dy.to(dy.dtype());
      scale_by_magnitude(term, term.part(dy.matrix()), term.weight, 1 - term.weight,
                         term.part(result.mutable_matrix()));
    }
    return result;
  }

  void backward_rescaled(const Term& term, const Tensor& dy, const Tensor& of_product, GradSink& sink) {
    ConstMatrix part = term.part(dy.matrix());
    Tensor scaled;
    backward_magnitude(term, dy, sink);
    if (term.dropout.on() && sink.needs(0)) {  // dx += drop((weight (c - 1) ∘ dy) W)
      scaled = Tensor::empty(dy.device(), {part.rows, part.cols}, dy.dtype());
      scale_by_magnitude(term, part, term.weight, -term.weight, scaled.mutable_matrix());
      auto dx = sink.into(0);
      gemm(*dy.device(), {.c = term.part(dx.matrix),
                          .a = scaled.matrix(),
                          .b = w(),
                          .transpose_b = is_in_out(),
                          .beta = dx.beta,
                          .dropout = term.dropout.mask(),
                          .dropped = Dropped::product});
    }
    if (term.weight == 1 && of_product.impl() != dy.impl() && !term.dropout.on())
      return backward_product(term, term.part(of_product.matrix()), sink);
    if (!scaled.defined()) scaled = Tensor::empty(dy.device(), {part.rows, part.cols}, dy.dtype());
    scale_by_magnitude(term, part, term.weight, 0, scaled.mutable_matrix());
    backward_product(term, scaled.matrix(), sink);
  }
};

/// The terms of every map, the h of those of the same tokens side by side.
std::vector<std::vector<FormedTerm>> form_terms(const Tensor& x, const std::vector<LoraMap>& maps) {
  std::vector<std::vector<FormedTerm>> formed(maps.size());
  struct Group {
    IndexRange tokens;
    std::vector<LoraFactor> factors;
    std::vector<FormedTerm*> terms;
  };
  std::vector<Group> groups;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    formed[i].reserve(maps[i].terms.size());
    for (const LoraTerm& term : maps[i].terms) {
      IndexRange tokens = tokens_of(term, x.rows());
      formed[i].push_back(form_term(maps[i].w, term, tokens, x.dtype()));
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

Tensor form_map(const Tensor& x, const LoraMap& map, const std::vector<FormedTerm>& terms) {
  auto form = [](const Tensor& x, const Weight& w, const Weight& bias, bool rows_alone,
                 const std::vector<FormedTerm>& terms, Matrix y) {
    form_linear(x, w, bias, rows_alone, y);
    add_terms(terms, x.matrix(), w, bias, y);
  };
  Tensor y = Tensor::formed(x.device(), {x.rows(), map.w.out_features()}, x.dtype(), form, x, map.w.weight(),
                            map.bias.weight(), map.rows_alone, terms);
  bool record = needs_grad({&x, &map.w.tensor(), &map.bias.tensor()}) || needs_grad(map, terms);
  return record ? attach(y, std::make_shared<LoraLinearNode>(x, map, terms)) : y;
}

}  // namespace

std::vector<Tensor> lora_linears(const Tensor& x, const std::vector<LoraMap>& maps) {
  for (const LoraMap& map : maps) {
    check_linear(x, map.w, map.bias);
    check_terms("lora_linear", x.device(), x.rows(), map);
  }
  std::vector<std::vector<FormedTerm>> formed = form_terms(x, maps);
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

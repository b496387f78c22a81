#include "lora/lora_head.h"

#include <string>

#include "engine/error.h"
#include "lora/lora_down.h"
#include "lora/lora_up.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

void check(const Tensor& x, const LoraMap& head) {
  check_terms("lora_head", x.device(), x.rows(), head);
  for (const LoraTerm& term : head.terms)
    if (term.b_bias.defined() || term.magnitude.m.defined())
      throw UsageError("lora_head: expected terms of A and B alone, found one with a bias or a magnitude");
}

/// drop(x) Aᵀ of a term's tokens.
Tensor down(const Tensor& x, const LoraTerm& term, IndexRange tokens) {
  return lora_down(x, {{term.a, term.dropout, term.rows_alone}}, tokens);
}

}  // namespace

CrossEntropy lora_cross_entropy(const Tensor& x, const LoraMap& head, const Targets& targets, double denominator,
                                double soft_cap) {
  check(x, head);
  std::vector<HeadTerm> terms;
  for (const LoraTerm& term : head.terms) {
    IndexRange tokens = tokens_of(term, x.rows());
    terms.push_back({down(x, term, tokens), term.b, term.scale, tokens});
  }
  return cross_entropy(x, head.w, targets, denominator, soft_cap, terms);
}

void lora_logits(const Tensor& x, const LoraMap& head, Matrix y) {
  check(x, head);
  gemm(*x.device(), {.c = y, .a = x.matrix(), .b = head.w.view(), .transpose_b = true, .rows_alone = head.rows_alone});
  std::vector<FormedTerm> terms;
  for (const LoraTerm& term : head.terms) {
    IndexRange tokens = tokens_of(term, x.rows());
    terms.push_back(form_term(head.w, term, tokens, x.dtype()));
    terms.back().h = down(x, term, tokens);
  }
  add_terms(terms, x.matrix(), head.w.weight(), {}, y);
}

}  // namespace loragrad

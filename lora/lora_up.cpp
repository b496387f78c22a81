#include "lora/lora_up.h"

#include <algorithm>
#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "lora/operand.h"
#include "ops/checks.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

Matrix part_of(const Matrix& matrix, const IndexRange& tokens) {
  return row_range(matrix, tokens.begin, tokens.end - tokens.begin);
}

/// s h Bᵀ + beta y
void product(const FormedTerm& term, Matrix y, double beta) {
  gemm(*term.h.device(), {.c = y,
                          .a = term.h.matrix(),
                          .b = term.b.matrix(),
                          .transpose_b = true,
                          .alpha = term.scale,
                          .beta = beta,
                          .rows_alone = term.rows_alone});
}

/// y = W x + bias is rescaled.
void rescale(const FormedTerm& term, const ConstMatrix& x, const Weight& w, const Weight& bias, Matrix y) {
  Tensor l = term.e.defined() ? term.e : Tensor::empty(term.h.device(), {term.h.rows(), y.cols}, y.dtype);
  product(term, l.mutable_matrix(), 0);
  ConstMatrix part = x.data ? row_range(x, term.tokens.begin, term.tokens.end - term.tokens.begin) : x;
  term.magnitude.add_to(part_of(y, term.tokens), part, w, bias, l.matrix(),
                        term.e.defined() ? l.mutable_matrix() : Matrix());
}

/// y += s (h Bᵀ + b)
void add(const FormedTerm& term, Matrix y) {
  Device& device = *term.h.device();
  Matrix part = part_of(y, term.tokens);
  product(term, part, 1);
  if (!term.b_bias.defined()) return;
  // One row for all of y's: not every library scales a product's own bias.
  ConstMatrix rows = term.b_bias.matrix();
  rows.rows = part.rows;
  rows.stride = 0;
  device.kernels().accumulate(device, {rows, term.scale, part, 1});
}

void check_term(const std::string& op, const DevicePtr& device, std::int64_t rows, const Parameter& w,
                const LoraTerm& term) {
  if (term.a.cols() != w.in_features() || term.b.rows() != w.out_features() || term.a.rows() != term.b.cols())
    throw ShapeError(op + ": A " + term.a.shape().text() + " and B " + term.b.shape().text() +
                     " do not fit a weight of in = " + std::to_string(w.in_features()) +
                     ", out = " + std::to_string(w.out_features()));
  check_magnitude(op, device, w, term);
  for (const Tensor* matrix : {&term.a, &term.b}) check_one_device(op, device, matrix->device());
  if (term.b_bias.defined()) {
    if (term.b_bias.shape() != Shape{1, w.out_features()})
      throw ShapeError(op + ": B's bias " + term.b_bias.shape().text() +
                       " does not fit a weight of out = " + std::to_string(w.out_features()));
    check_one_device(op, device, term.b_bias.device());
  }
  if (!term.dropout.on()) return;
  check_indices(op, "dropout's tokens", term.dropout.tokens, {rows, 2}, {rows, w.in_features()});
  check_one_device(op, device, term.dropout.tokens.device());
}

}  // namespace

IndexRange tokens_of(const LoraTerm& term, std::int64_t rows) {
  std::int64_t begin = std::clamp<std::int64_t>(term.tokens.begin, 0, rows);
  return {begin, std::clamp<std::int64_t>(term.tokens.end, begin, rows)};
}

FormedTerm form_term(const Parameter& w, const LoraTerm& term, IndexRange tokens, DType dtype, double scale) {
  FormedTerm formed{{},     operand(term.b, dtype), term.b_bias.detach(),           scale * term.scale,
                    tokens, term.rows_alone,        form_magnitude(w, term, tokens)};
  if (needs_grad({&term.magnitude.m}))
    formed.e = Tensor::empty(term.b.device(), {tokens.end - tokens.begin, w.out_features()}, dtype);
  return formed;
}

void add_terms(const std::vector<FormedTerm>& terms, const ConstMatrix& x, const Weight& w, const Weight& bias,
               Matrix y) {
  for (const FormedTerm& term : terms)  // while y is the map's own
    if (term.magnitude.defined()) rescale(term, x, w, bias, y);
  for (const FormedTerm& term : terms)
    if (!term.magnitude.defined()) add(term, y);
}

void check_terms(std::string_view op, const DevicePtr& device, std::int64_t rows, const LoraMap& map) {
  for (const LoraTerm& term : map.terms) check_term(std::string(op), device, rows, map.w, term);
  for (std::size_t i = 0; i < map.terms.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      if (!map.terms[i].magnitude.m.defined() || !map.terms[j].magnitude.m.defined()) continue;
      IndexRange one = tokens_of(map.terms[i], rows), other = tokens_of(map.terms[j], rows);
      if (std::max(one.begin, other.begin) < std::min(one.end, other.end))
        throw UsageError(std::string(op) + ": expected at most one magnitude for a token, found two");
    }
}

bool needs_grad(const LoraMap& map, const std::vector<FormedTerm>& formed) {
  for (std::size_t i = 0; i < formed.size(); ++i)
    if (needs_grad({&formed[i].h, &map.terms[i].b, &map.terms[i].b_bias, &map.terms[i].magnitude.m})) return true;
  return false;
}

}  // namespace loragrad

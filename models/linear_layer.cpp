#include "models/linear_layer.h"

#include <algorithm>

#include "engine/random.h"
#include "lora/lora_linear.h"

namespace loragrad {
namespace {

IndexRange tokens_of(const IndexRange& rows, const RowOffsets& offsets) {
  auto token = [&](std::int64_t row) {
    return offsets.query[static_cast<std::size_t>(std::clamp<std::int64_t>(row, 0, offsets.rows()))];
  };
  return {token(rows.begin), token(rows.end)};
}

}  // namespace

Tensor LinearLayer::operator()(const Tensor& x, const Pass& pass) const {
  Tensor y = compute(x, pass);
  if (pass.watch) pass.watch(name_, x, y);
  return y;
}

Tensor LinearLayer::compute(const Tensor& x, const Pass& pass) const {
  static const Parameter none;
  const Parameter& bias = bias_ ? *bias_ : none;
  const std::vector<ActiveModule>& active = pass.adapters.of(name_);
  if (active.empty()) return linear(x, *weight_, bias);
  std::vector<LoraTerm> terms;
  for (const ActiveModule& a : active) {
    Dropout dropout;
    if (pass.training && a.dropout > 0)
      dropout = {a.dropout, mix(pass.dropout_key, hash_name(name_.data(), name_.size())), pass.batch.dropout_tokens};
    terms.push_back(
        {a.module.a, a.module.b, a.module.scale * a.weight, dropout, tokens_of(a.rows, *pass.batch.offsets)});
  }
  return lora_linear(x, *weight_, bias, terms);
}

LinearShape LinearLayer::shape() const {
  return {name_, weight_->in_features(), weight_->out_features(), weight_->layout()};
}

}  // namespace loragrad

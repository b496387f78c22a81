#include "models/linear_layer.h"

#include <algorithm>

#include "engine/random.h"
#include "lora/variant.h"

namespace loragrad {
namespace {

IndexRange tokens_of(const IndexRange& rows, const RowSpans& spans) {
  auto token = [&](std::int64_t row) { return spans.first_token(std::clamp<std::int64_t>(row, 0, spans.rows())); };
  return {token(rows.begin), token(rows.end)};
}

}  // namespace

Tensor LinearLayer::operator()(const Tensor& x, const Pass& pass) const { return together({this}, x, pass).front(); }

std::vector<Tensor> LinearLayer::together(std::initializer_list<const LinearLayer*> layers, const Tensor& x,
                                          const Pass& pass) {
  std::vector<LoraMap> maps;
  for (const LinearLayer* layer : layers) maps.push_back(layer->map(pass));
  std::vector<Tensor> results = lora_linears(x, maps);
  if (pass.watch)
    for (std::size_t i = 0; i < results.size(); ++i) pass.watch(layers.begin()[i]->name_, x, results[i]);
  return results;
}

/// The map with the adapters that are active on it.
LoraMap LinearLayer::map(const Pass& pass) const {
  LoraMap map{*weight_, bias_ ? *bias_ : Parameter(), {}, pass.rows_alone && !pass.record};
  for (const ActiveModule& a : pass.adapters.of(name_)) {
    Dropout dropout;
    if (pass.training && a.dropout > 0)
      dropout = {a.dropout, mix(pass.dropout_key, hash_name(name_.data(), name_.size())), pass.batch.dropout_tokens};
    for (const IndexRange& rows : pass.adapters.rows_of(a))
      a.module.variant->add_to(
          map, a.module, {a.weight, dropout, tokens_of(rows, *pass.batch.spans), pass.rows_alone || !pass.record});
  }
  return map;
}

LinearShape LinearLayer::shape() const {
  return {
      name_, weight_->in_features(), weight_->out_features(), weight_->layout(), bias_ != nullptr, weight_->weight()};
}

}  // namespace loragrad

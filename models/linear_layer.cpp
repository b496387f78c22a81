#include "models/linear_layer.h"

#include "models/active_terms.h"

namespace loragrad {

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
  add_active_terms(map, name_, pass);
  return map;
}

LinearShape LinearLayer::shape() const {
  return {
      name_, weight_->in_features(), weight_->out_features(), weight_->layout(), bias_ != nullptr, weight_->weight()};
}

}  // namespace loragrad

#include "models/model.h"

#include <algorithm>
#include <optional>

#include "engine/error.h"
#include "lora/variant.h"

namespace loragrad {

Tensor CausalLm::run(const Pass& pass) const {
  const Batch& batch = pass.batch;
  pass.adapters.check_rows(batch.spans->rows());
  if (!pass.cache) {
    if (!batch.places.empty()) throw UsageError("pass: expected the cache that the batch was made for, found none");
    return forward(pass);
  }
  bool fits = static_cast<std::int64_t>(batch.places.size()) == batch.spans->rows();
  for (std::size_t i = 0; fits && i < batch.places.size(); ++i) {
    const RowSpan& span = batch.spans->spans[i];
    std::int64_t place = batch.places[i];
    fits = place < pass.cache->places() && span.key == pass.cache->first_key(place) &&
           span.keys - span.queries == pass.cache->length(place);
  }
  if (!fits) throw UsageError("pass: expected a batch made for the cache as it is, found another");
  Tensor hidden = forward(pass);
  for (std::size_t i = 0; i < batch.places.size(); ++i)
    pass.cache->advance(batch.places[i], batch.spans->spans[i].queries);
  return hidden;
}

Tensor CausalLm::hidden(const Pass& pass) const {
  auto mode = unrecorded(pass);
  return run(pass);
}

std::vector<LinearShape> CausalLm::linear_shapes() const {
  std::vector<LinearShape> shapes;
  for (const LinearLayer* layer : linears_) shapes.push_back(layer->shape());
  return shapes;
}

std::vector<LinearShape> CausalLm::adaptable_shapes() const {
  std::vector<LinearShape> shapes = linear_shapes();
  shapes.insert(shapes.begin(), embedding_->shape());
  shapes.push_back({.name = head_module,
                    .in = head_->in_features(),
                    .out = head_->out_features(),
                    .weight = head_->weight(),
                    .is_head = true});
  return shapes;
}

ActiveAdapters CausalLm::activate(const std::vector<WeightedAdapter>& adapters) const {
  ActiveAdapters active;
  std::vector<LinearShape> shapes = adaptable_shapes();
  for (WeightedAdapter a : adapters) {
    for (LoraModule& module : a.adapter.modules) {
      auto shape = std::find_if(shapes.begin(), shapes.end(), [&](const LinearShape& shape) {
        return shape.name == module.name && shape.is_embedding == module.variant->of_embedding();
      });
      if (shape == shapes.end())
        throw InputError("adapter: the model has no " +
                         std::string(module.variant->of_embedding() ? "embedding " : "linear layer ") + module.name);
      if (!module.b.needs_grad()) module.variant->prepare(module, shape->weight);
    }
    active.add(a);
  }
  return active;
}

void CausalLm::replace(const std::string& name, Parameter parameter) {
  auto at = std::find_if(parameters_.begin(), parameters_.end(), [&](const auto& p) { return p.first == name; });
  bool unties = at == parameters_.end() && name == head_name;
  if (at == parameters_.end() && !unties) throw UsageError("replace: the model has no parameter " + name);
  const Parameter& old = unties ? *head_ : *at->second;
  if (parameter.shape() != old.shape() || parameter.layout() != old.layout() || parameter.device() != old.device())
    throw UsageError("replace: " + name + ": expected " + old.shape().text() + " on " +
                     std::string(old.device()->name()) + " as the model stores it, found " + parameter.shape().text());
  if (unties) {
    head_ = std::make_shared<Parameter>(std::move(parameter));
    parameters_.emplace_back(name, head_);
  } else {
    *at->second = std::move(parameter);
  }
}

std::int64_t CausalLm::parameter_count() const {
  std::int64_t n = 0;
  for (const auto& [name, parameter] : parameters_) n += parameter->shape().numel();
  return n;
}

std::size_t CausalLm::parameter_bytes() const {
  std::size_t n = 0;
  for (const auto& [name, parameter] : parameters_) n += parameter->bytes();
  return n;
}

std::vector<std::pair<std::string, Tensor>> CausalLm::trainable() const {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [name, parameter] : parameters_)
    if (parameter->tensor().defined()) tensors.emplace_back(name, parameter->tensor());
  return tensors;
}

KeyValueCache CausalLm::make_cache(std::int64_t capacity, std::int64_t places) const {
  std::int64_t width = config_.num_key_value_heads * config_.head_dim;
  return {device_, config_.num_hidden_layers, width, dtype_, places, capacity};
}

}  // namespace loragrad

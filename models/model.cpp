#include "models/model.h"

#include "engine/error.h"
#include "models/parameter.h"
#include "ops/gemm.h"

namespace loragrad {

CrossEntropy CausalLm::loss(const Batch& batch, double denominator, const ForwardContext& context) const {
  Tensor h = hidden(batch, context);
  return std::visit([&](const auto& head) { return cross_entropy(h, head, batch.targets, denominator); }, head_);
}

Tensor CausalLm::logits(const Tensor& hidden) const {
  DType dtype = hidden.dtype() == DType::f64 ? DType::f64 : DType::f32;
  ConstMatrix head = matrix_of(head_);
  Tensor z = Tensor::empty(device_, {hidden.rows(), head.rows}, dtype);
  gemm(*device_, {.c = z.mutable_matrix(), .a = hidden.matrix(), .b = head, .transpose_b = true});
  return z;
}

std::vector<LinearShape> CausalLm::linear_shapes() const {
  std::vector<LinearShape> shapes;
  for (const LinearLayer* layer : linears_) shapes.push_back(layer->shape());
  return shapes;
}

void CausalLm::attach(const Adapter& adapter, double weight) {
  for (const LoraModule& module : adapter.modules) {
    LinearLayer* found = nullptr;
    for (LinearLayer* layer : linears_)
      if (layer->name() == module.name) found = layer;
    if (!found) throw InputError("adapter: the model has no linear layer " + module.name);
    found->attach(module, weight, adapter.config.lora_dropout);
  }
}

void CausalLm::detach_adapters() {
  for (LinearLayer* layer : linears_) layer->detach_adapters();
}

std::int64_t CausalLm::parameter_count() const {
  std::int64_t n = 0;
  for (const auto& [name, parameter] : parameters_) n += shape_of(parameter).numel();
  return n;
}

std::size_t CausalLm::parameter_bytes() const {
  std::size_t n = 0;
  for (const auto& [name, parameter] : parameters_)
    n += static_cast<std::size_t>(shape_of(parameter).numel()) * size_of(dtype_of_parameter(parameter));
  return n;
}

std::vector<std::pair<std::string, Tensor>> CausalLm::trainable() const {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [name, parameter] : parameters_)
    if (auto* tensor = std::get_if<Tensor>(&parameter)) tensors.emplace_back(name, *tensor);
  return tensors;
}

KeyValueCache CausalLm::make_cache(std::int64_t capacity) const {
  KeyValueCache cache;
  cache.capacity = capacity;
  for (std::int64_t i = 0; i < config_.num_hidden_layers; ++i)
    for (auto* list : {&cache.k, &cache.v})
      list->push_back(Tensor::empty(device_, {capacity, config_.num_key_value_heads * config_.head_dim}, dtype_));
  return cache;
}

}  // namespace loragrad

#include "models/linear_layer.h"

#include "engine/random.h"

namespace loragrad {

Tensor LinearLayer::operator()(const Tensor& x, const ForwardContext& context) const {
  Tensor y = compute(x, context, Values::formed);
  if (context.watch) context.watch(name_, x, y);
  return y;
}

Tensor LinearLayer::last(const Tensor& x, const ForwardContext& context) const {
  return context.again ? compute(x, context, Values::unread) : (*this)(x, context);
}

Tensor LinearLayer::compute(const Tensor& x, const ForwardContext& context, Values values) const {
  Parameter bias = bias_ ? *bias_ : Parameter();
  if (active_.empty()) return linear(x, *weight_, bias, values);
  std::vector<LoraTerm> terms;
  for (const Active& active : active_) {
    Dropout dropout;
    if (context.training && active.dropout > 0)
      dropout = {active.dropout, mix(context.dropout_key, hash_name(name_.data(), name_.size())),
                 context.dropout_tokens};
    terms.push_back({active.module.a, active.module.b, active.module.scale * active.weight, dropout});
  }
  return lora_linear(x, *weight_, bias, terms, values);
}

LinearShape LinearLayer::shape() const {
  return {name_, weight_->in_features(), weight_->out_features(), weight_->layout()};
}

void LinearLayer::attach(const LoraModule& module, double weight, double dropout) {
  active_.push_back({module, weight, dropout});
}

}  // namespace loragrad

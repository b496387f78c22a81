#include "models/linear_layer.h"

#include "engine/error.h"
#include "engine/random.h"
#include "models/parameter.h"

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
  if (auto* w = std::get_if<Tensor>(&weight_))
    return linear(x, *w, is_empty(bias_) ? Tensor() : std::get<Tensor>(bias_), layout_, values);
  const Weight &w = std::get<Weight>(weight_), &bias = std::get<Weight>(bias_);
  if (active_.empty()) return linear(x, w, bias, values);
  std::vector<LoraTerm> terms;
  for (const Active& active : active_) {
    Dropout dropout;
    if (context.training && active.dropout > 0)
      dropout = {active.dropout, mix(context.dropout_key, hash_name(name_.data(), name_.size())),
                 context.dropout_tokens};
    terms.push_back({active.module.a, active.module.b, active.module.scale * active.weight, dropout});
  }
  return lora_linear(x, w, bias, terms, values);
}

LinearShape LinearLayer::shape() const {
  Shape s = shape_of(weight_);
  bool out_in = layout_ == WeightLayout::out_in;
  return {name_, out_in ? s.cols : s.rows, out_in ? s.rows : s.cols, layout_};
}

void LinearLayer::attach(const LoraModule& module, double weight, double dropout) {
  if (std::holds_alternative<Tensor>(weight_))
    throw UsageError(name_ + ": an adapter cannot be attached to a base that is itself trained");
  active_.push_back({module, weight, dropout});
}

}  // namespace loragrad

#pragma once
#include "engine/random.h"
#include "models/model.h"

namespace loragrad::test {

/// An adapter on every linear map, with B != 0 and alpha != r.
inline Adapter full_adapter(const CausalLm& model, double dropout, std::uint64_t seed = 9) {
  LoraConfig config{
      .r = 3, .lora_alpha = 7, .target_modules = TargetModules::parse("all-linear"), .lora_dropout = dropout};
  DType dtype = accumulation_type(model.compute_dtype());
  Adapter adapter = make_adapter(model.device(), config, model.linear_shapes(), 5, dtype);
  for (LoraModule& module : adapter.modules) {
    Random random(seed, hash_name(module.name.data(), module.name.size()));
    std::vector<double> values(static_cast<std::size_t>(module.b.numel()));
    for (double& value : values) value = random.normal() * 0.1;
    if (dtype == DType::f64)
      module.b.set_values(values);
    else
      module.b.set_values(std::vector<float>(values.begin(), values.end()));
  }
  return adapter;
}

}  // namespace loragrad::test

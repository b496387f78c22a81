#include "lora/adapter.h"

#include <fmt/format.h>

#include <utility>

#include "engine/error.h"
#include "io/message.h"
#include "lora/patterns.h"
#include "lora/variant.h"

namespace loragrad {

std::string rows_name(const std::string& module) { return module + ".token_adapter.trainable_tokens_delta"; }

std::int64_t Adapter::parameters() const {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : tensors()) count += tensor.numel();
  return count;
}

std::size_t Adapter::bytes() const {
  std::size_t count = 0;
  for (const auto& [name, tensor] : tensors()) count += tensor.bytes();
  return count;
}

std::vector<std::pair<std::string, Tensor>> Adapter::tensors() const {
  std::vector<std::pair<std::string, Tensor>> result;
  for (const LoraModule& module : modules)
    for (const VariantTensor& tensor : module.variant->tensors())
      result.emplace_back(fmt::format("{}.{}", module.name, tensor.name), module.*tensor.place);
  for (const TrainedParameter& parameter : parameters_of_base) result.emplace_back(parameter.name, parameter.values);
  for (const TrainedRows& rows : rows_of_base) result.emplace_back(rows_name(rows.module), rows.values);
  return result;
}

Adapter make_adapter(const DevicePtr& device, const LoraConfig& config, const std::vector<LinearShape>& all,
                     std::uint64_t seed, DType dtype) {
  return make_adapter(device, config, all, seed, dtype, [] {});
}

Adapter make_adapter(const DevicePtr& device, const LoraConfig& config, const std::vector<LinearShape>& all,
                     std::uint64_t seed, DType dtype, const std::function<void()>& begins) {
  config.check();
  if (dtype != DType::f32 && dtype != DType::f64)
    throw UsageError("adapter: expected f32 or f64 for trained matrices, found " + std::string(name_of(dtype)));
  ModuleRanks ranks(config);
  Adapter adapter;
  adapter.config = config;
  for (const LinearShape& shape : match_targets(config.target_modules, all)) {
    begins();
    double scale = ranks.scale(shape.name);
    const LoraVariant& variant = variant_of(config, shape);
    LoraModule module{.name = shape.name, .scale = scale, .layout = shape.layout, .variant = &variant};
    variant.start(module, {config, shape, ranks.rank(shape.name), scale}, {device, dtype, seed});
    for (const VariantTensor& tensor : variant.tensors()) (module.*tensor.place).set_trainable();
    adapter.modules.push_back(std::move(module));
  }
  return adapter;
}

std::string trainable_parameters_text(std::int64_t trainable, std::int64_t all) {
  double percent = all > 0 ? 100 * static_cast<double>(trainable) / static_cast<double>(all) : 0;
  return fmt::format("trainable params: {} || all params: {} || trainable%: {:.4f}", grouped(trainable), grouped(all),
                     percent);
}

}  // namespace loragrad

#include "lora/adapter.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "engine/error.h"
#include "engine/random.h"
#include "lora/patterns.h"

namespace loragrad {
namespace {

/// A's first values. Drawn as f32 whatever the dtype, so that a gradient check in f64 starts where training does.
Tensor initial_a(const DevicePtr& device, const LinearShape& shape, std::int64_t rank, LoraInit init,
                 std::uint64_t seed, DType dtype) {
  Random random(seed, hash_name(shape.name.data(), shape.name.size()));
  std::vector<float> values(static_cast<std::size_t>(rank * shape.in));
  double bound = 1 / std::sqrt(static_cast<double>(shape.in)), deviation = 1 / static_cast<double>(rank);
  for (float& value : values) {
    double drawn = init == LoraInit::gaussian ? deviation * random.normal() : bound * (2 * random.uniform() - 1);
    value = static_cast<float>(drawn);
  }
  Tensor a = Tensor::from(device, {rank, shape.in}, std::move(values));
  return dtype == DType::f32 ? a : a.to(dtype);
}

std::string with_commas(std::int64_t number) {
  std::string text = fmt::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

}  // namespace

std::int64_t Adapter::parameters() const {
  std::int64_t count = 0;
  for (const LoraModule& module : modules) count += module.a.numel() + module.b.numel();
  return count;
}

std::size_t Adapter::bytes() const {
  std::size_t count = 0;
  for (const LoraModule& module : modules) count += module.a.bytes() + module.b.bytes();
  return count;
}

std::vector<std::pair<std::string, Tensor>> Adapter::tensors() const {
  std::vector<std::pair<std::string, Tensor>> result;
  for (const LoraModule& module : modules) {
    result.emplace_back(module.name + ".lora_A.weight", module.a);
    result.emplace_back(module.name + ".lora_B.weight", module.b);
  }
  return result;
}

Adapter make_adapter(const DevicePtr& device, const LoraConfig& config, const std::vector<LinearShape>& all,
                     std::uint64_t seed, DType dtype) {
  config.check();
  if (dtype != DType::f32 && dtype != DType::f64)
    throw UsageError("adapter: expected f32 or f64 for trained matrices, found " + std::string(name_of(dtype)));
  ModuleRanks ranks(config);
  Adapter adapter;
  adapter.config = config;
  for (const LinearShape& shape : match_targets(config.target_modules, all)) {
    std::int64_t rank = ranks.rank(shape.name);
    LoraModule module{shape.name, initial_a(device, shape, rank, config.init_lora_weights, seed, dtype),
                      Tensor::zeros(device, {shape.out, rank}, dtype), ranks.scale(shape.name), shape.layout};
    module.a.set_trainable();
    module.b.set_trainable();
    adapter.modules.push_back(std::move(module));
  }
  return adapter;
}

std::string trainable_parameters_text(std::int64_t trainable, std::int64_t all) {
  double percent = all > 0 ? 100 * static_cast<double>(trainable) / static_cast<double>(all) : 0;
  return fmt::format("trainable params: {} || all params: {} || trainable%: {:.4f}", with_commas(trainable),
                     with_commas(all), percent);
}

}  // namespace loragrad

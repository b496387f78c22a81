#include "lora/replaced_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"
#include "lora/saved_modules.h"

namespace loragrad {
namespace {

/// The first thing that an adapter replaces; "" where it replaces nothing.
std::string replaced_name(const Adapter& adapter) {
  if (!adapter.parameters_of_base.empty()) return adapter.parameters_of_base.front().name;
  return adapter.rows_of_base.empty() ? "" : adapter.rows_of_base.front().module;
}

bool is_replaced(const Adapter& adapter, const std::string& module) {
  auto has_it = [&](const TrainedRows& rows) { return rows.module == module; };
  return is_saved_module(adapter.config.modules_to_save, module) ||
         std::any_of(adapter.rows_of_base.begin(), adapter.rows_of_base.end(), has_it);
}

[[noreturn]] void fail(const std::string& name, const std::string& found) {
  throw InputError("combine: " + name + ": expected one adapter of weight 1 that replaces parts of the base, found " +
                   found + ", which would take the base's values");
}

}  // namespace

void take_replaced_parts(const std::vector<WeightedAdapter>& adapters, Adapter& combined) {
  const WeightedAdapter* one = nullptr;
  for (const WeightedAdapter& each : adapters) {
    std::string name = replaced_name(each.adapter);
    if (name.empty()) continue;
    if (one) fail(name, "another");
    if (each.weight != 1) fail(name, fmt::format("a weight of {}", each.weight));
    one = &each;
  }
  if (!one) return;
  for (const LoraModule& module : combined.modules)
    if (is_replaced(one->adapter, module.name))
      throw InputError("combine: " + module.name + ": expected it adapted or replaced, found both");
  combined.parameters_of_base = one->adapter.parameters_of_base;
  combined.rows_of_base = one->adapter.rows_of_base;
  combined.config.bias = one->adapter.config.bias;
  combined.config.modules_to_save = one->adapter.config.modules_to_save;
  combined.config.trainable_token_indices = one->adapter.config.trainable_token_indices;
}

}  // namespace loragrad

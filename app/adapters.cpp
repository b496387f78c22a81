#include "app/adapters.h"

#include <fmt/format.h>

#include <optional>

#include "app/inputs.h"
#include "app/terminal/console.h"
#include "io/hub_cache.h"
#include "lora/files/adapter_file.h"
#include "models/files/base_hash.h"
#include "models/trained_parameters.h"
#include "train/model_card.h"

namespace loragrad {

std::string other_base_text(const std::string& adapter_folder, const std::string& base_name, const Base& base) {
  if (auto made_for = card_base_hash(adapter_folder)) {
    std::string found = base_hash(base.model, BaseTensors(base.model, base.folder));
    if (found == *made_for) return "";
    return fmt::format("made for another base{}: its model card has the hash {}, {} has {}",
                       base_name.empty() ? "" : " (" + base_name + ")", *made_for, base.folder, found);
  }
  auto made_for = hub_id(base_name), found = hub_id(base.folder);
  if (!made_for || !found || same_hub_id(*made_for, *found)) return "";
  return fmt::format("made for another base: {}, not {}", *made_for, *found);
}

namespace {

Adapter read_adapter(const std::string& folder, const Base& base, const DevicePtr& device, bool trainable,
                     std::vector<std::string>& warnings) {
  std::optional<BaseTensors> tensors;
  auto find = [&](const std::string& name) {
    if (!tensors) tensors.emplace(base.model, base.folder);
    return tensors->find_tied(name);
  };
  return load_adapter(folder, device, base.model.adaptable_shapes(), trainable, &warnings, DType::f32, find);
}

/// What each argument names, as `open(folder)` gives it.
template <class Open>
std::vector<WeightedAdapter> weighted(const std::vector<std::string>& arguments, Open open) {
  std::vector<WeightedAdapter> adapters;
  for (const AdapterArgument& argument : AdapterArgument::parse(arguments)) {
    adapters.push_back({open(argument.folder), argument.weight});
    if (!argument.name.empty()) adapters.back().name = argument.name;
  }
  return adapters;
}

}  // namespace

Adapter open_adapter(const std::string& folder, const Base& base, const DevicePtr& device, bool trainable) {
  std::vector<std::string> warnings;
  Adapter adapter = read_adapter(folder, base, device, trainable, warnings);
  if (std::string other = other_base_text(folder, adapter.base_model, base); !other.empty())
    warnings.push_back(folder + ": " + other);
  for (const std::string& warning : warnings) warn(warning);
  return adapter;
}

std::vector<WeightedAdapter> open_adapters(const std::vector<std::string>& arguments, const Base& base,
                                           const DevicePtr& device) {
  return weighted(arguments, [&](const std::string& folder) { return open_adapter(folder, base, device, false); });
}

std::vector<WeightedAdapter> open_adapters(const std::vector<std::string>& arguments, const Base& base) {
  return open_adapters(arguments, base, base.model.device());
}

ActiveAdapters activate_adapters(CausalLm& model, const std::string& folder,
                                 const std::vector<std::string>& arguments) {
  std::vector<WeightedAdapter> adapters = open_adapters(arguments, {model, folder});
  put_parameters(model, adapters);
  return model.activate(adapters);
}

std::vector<WeightedAdapter> outline_adapters(const std::vector<std::string>& arguments, const Base& base) {
  std::vector<std::string> unsaid;
  return weighted(arguments, [&](const std::string& folder) {
    return read_adapter(folder, base, base.model.device(), false, unsaid);
  });
}

void warn_of_unused_adapters(const std::vector<std::string>& arguments, const std::set<std::string>& chosen) {
  for (const std::string& name : adapter_names(arguments))
    if (chosen.count(name) == 0) warn(fmt::format("--adapter {}: no row chooses it, and it is not used", name));
}

std::set<std::string> chosen_adapters(const Dataset& data) {
  std::set<std::string> names;
  for (const Row& row : data.rows) names.insert(row.adapter);
  return names;
}

}  // namespace loragrad

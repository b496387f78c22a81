#include "lora/saved_modules.h"

#include <algorithm>

namespace loragrad {

bool is_saved_module(const std::vector<std::string>& ends, std::string_view module) {
  // The module itself, or one that it is a part of.
  for (std::size_t end = module.size(); end != std::string_view::npos; end = module.rfind('.', end - 1)) {
    std::string_view name = module.substr(0, end);
    if (std::any_of(ends.begin(), ends.end(), [&](const std::string& each) { return name.ends_with(each); }))
      return true;
    if (end == 0) break;
  }
  return false;
}

bool is_saved_with(const std::vector<std::string>& ends, std::string_view parameter) {
  std::size_t dot = parameter.rfind('.');
  return dot != std::string_view::npos && is_saved_module(ends, parameter.substr(0, dot));
}

std::set<std::string> names_of(const std::vector<LoraModule>& modules) {
  std::set<std::string> names;
  for (const LoraModule& module : modules) names.insert(module.name);
  return names;
}

bool is_trained(const LoraConfig& config, const std::set<std::string>& adapted, const std::string& parameter) {
  if (is_saved_with(config.modules_to_save, parameter)) return true;
  if (config.bias == TrainedBias::none || !parameter.ends_with(".bias")) return false;
  return config.bias == TrainedBias::all || adapted.count(parameter.substr(0, parameter.rfind('.'))) > 0;
}

}  // namespace loragrad

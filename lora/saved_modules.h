#pragma once
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// Whether a parameter is one of a module whose name ends like one of `ends`, with or without a dot before it: PEFT's
/// modules_to_save.
bool is_saved_with(const std::vector<std::string>& ends, std::string_view parameter);

/// The same of a module.
bool is_saved_module(const std::vector<std::string>& ends, std::string_view module);

/// The modules' names.
std::set<std::string> names_of(const std::vector<LoraModule>& modules);

/// Whether the configuration trains a parameter of the base itself: as part of modules_to_save, or as a bias, of all or
/// of the `adapted` modules.
bool is_trained(const LoraConfig& config, const std::set<std::string>& adapted, const std::string& parameter);

}  // namespace loragrad

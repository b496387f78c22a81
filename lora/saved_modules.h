#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace loragrad {

/// Whether a parameter is one of a module whose name ends like one of `ends`, with or without a dot before it: PEFT's
/// modules_to_save.
bool is_saved_with(const std::vector<std::string>& ends, std::string_view parameter);

/// The same of a module.
bool is_saved_module(const std::vector<std::string>& ends, std::string_view module);

}  // namespace loragrad

#pragma once
#include <string>
#include <vector>

#include "io/json.h"

namespace loragrad {

/// The adapter that a row chooses by its key "adapter": one of `names`, or "" where the key is absent or null.
/// InputError as FILE:LINE: adapter for anything else.
std::string row_adapter(const JsonRef& row, const std::vector<std::string>& names);

}  // namespace loragrad

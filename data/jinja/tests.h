#pragma once
#include <map>
#include <string_view>

#include "data/jinja/operators.h"

namespace loragrad::jinja {

using TestMap = std::map<std::string_view, TestFunction>;
/// What may stand behind "is", and what select and reject ask.
const TestMap& tests();

}  // namespace loragrad::jinja

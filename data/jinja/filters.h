#pragma once
#include <map>
#include <string_view>

#include "data/jinja/operators.h"

namespace loragrad::jinja {

using FilterMap = std::map<std::string_view, FilterFunction>;
/// Filters of texts and numbers, of lists, and those that choose items.
const FilterMap& text_filters();
const FilterMap& list_filters();
const FilterMap& choosing_filters();

/// The value of "a.b.0" within another, as filters name it; where a part of the path has none, `fallback` stands for it,
/// or undefined without one.
Value attribute_of(const Value& value, const Value& path, Run& run, const Value* fallback = nullptr);

}  // namespace loragrad::jinja

#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "data/jinja/run.h"

namespace loragrad::jinja {

using TextMethod = Value (*)(const Text& text, Run& run, const Arguments& arguments);
/// A method of Python's str; null for one that is not known.
TextMethod text_method(std::string_view name);
/// Those that give parts of a text, and those that ask what its characters are.
TextMethod splitting_method(std::string_view name);
TextMethod asking_method(std::string_view name);

// What filters do too.

/// Without the characters of `of` at its start, its end or both; nullopt: without white space.
std::string stripped(std::string_view text, const std::optional<std::string>& of, bool start, bool end);
/// Every `what`, or the first `count` where that is not below 0.
std::string replaced(const std::string& text, const std::string& what, const std::string& with, std::int64_t count,
                     Run& run);
/// Spaces before and behind, to `width` characters.
std::string padded(const std::string& text, std::int64_t before, std::int64_t behind, const std::string& with,
                   Run& run);

}  // namespace loragrad::jinja

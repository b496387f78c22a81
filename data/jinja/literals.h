#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace loragrad::jinja {

// What stands at the beginning of a text within a tag; sizes are in bytes, 0 where there is no such thing.

/// A string with its quotes.
std::size_t quoted_size(std::string_view text);
/// What stands between them, with Python's escapes done. Fault for a broken one.
std::string unescaped_literal(std::string_view text, int line);
/// Digits, and whether they are an integer. Behind a dot they always are: a.0.1.
std::pair<std::size_t, bool> numeral_size(std::string_view text, bool behind_dot);
/// A name: letters, digits, _, and all beyond ASCII that makes words.
std::size_t name_size(std::string_view text);
/// The longest operator.
std::size_t sign_size(std::string_view text);

}  // namespace loragrad::jinja

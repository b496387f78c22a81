#pragma once
// Characters as Python's str has them.
#include <cstddef>
#include <string>
#include <string_view>

namespace loragrad::jinja {

/// What str.isspace() is true of: Unicode's white space and the four separators of ASCII.
bool is_space(char32_t code);
/// What str.isalpha() and str.isalnum() are true of: letters of any script, and also digits and other numbers.
bool is_alpha(char32_t code);
bool is_alnum(char32_t code);
/// Bytes of it at the start, and at the end.
std::size_t leading_spaces(std::string_view text);
std::size_t trailing_spaces(std::string_view text);

/// Python's upper(), lower(), title() and capitalize(); of the characters that become several, those of Latin letters
/// are known.
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string title(std::string_view text);
std::string capitalize(std::string_view text);

/// Python's islower() and isupper(): a letter that has another case, and none in the other one.
bool is_lower(std::string_view text);
bool is_upper(std::string_view text);

/// Characters, and back.
std::u32string characters(std::string_view text);
std::string utf8(std::u32string_view characters);

}  // namespace loragrad::jinja

#pragma once
#include <cstddef>
#include <string_view>
#include <vector>

namespace loragrad {

/// A number as Python's json writes and reads it and no lexer of JSON does: NaN, Infinity, -Infinity, or one too large
/// for a double.
struct OddNumeral {
  std::size_t ordinal = 0;  ///< how many numbers stand before it in the text
  std::string_view text;    ///< of the text that was searched
};

/// All of them outside strings, from left to right. Of text that is no JSON, something that does no harm.
std::vector<OddNumeral> odd_numerals(std::string_view text);

}  // namespace loragrad

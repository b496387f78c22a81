#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "lora/python_regex/python_chars.h"

namespace loragrad {

constexpr std::uint64_t unbounded = 0xffffffff;  ///< re's MAXREPEAT

/// From how many characters to how many, or times.
struct Width {
  std::uint64_t least = 0, most = 0;
};
/// One behind the other; one of two; one so many times.
Width operator+(Width a, Width b);
Width either(Width a, Width b);
Width operator*(Width width, Width times);

/// {times, times} of a quantifier that begins with `c`, which was read; a brace that begins none is a character.
std::optional<Width> read_quantifier(PatternReader& in, char32_t c);

/// The rest of "(?#...)", or with verbose flags of a "#..." up to the end of the line.
void skip_comment(PatternReader& in, std::size_t begin);
void skip_line(PatternReader& in);

/// Letters of "imsxau" in "(?on)", for the whole pattern, or "(?on-off:", for a group; the reader behind "(?".
struct InlineFlags {
  std::string on, off;
  bool whole = false;

  /// "(?on-off" of those that PCRE2 is told of: i, m and s. x is read here, a and u make no difference to ASCII.
  std::string opening() const;
};
InlineFlags read_inline_flags(PatternReader& in);
bool has_both_types(const std::string& letters);  ///< a and u

/// An ASCII identifier.
bool is_group_name(const std::string& name);

}  // namespace loragrad

#pragma once
#include <map>
#include <string>
#include <string_view>

namespace loragrad {

/// A regular expression of Python's `re` in PCRE2's words.
struct TranslatedRegex {
  std::string pcre2;                       ///< for UTF, newline LF; its groups have Python's numbers
  std::map<std::string, unsigned> groups;  ///< numbers of named groups
};

/// What a str pattern means to Python 3.11's `re`, said so that PCRE2 means the same, for texts of ASCII characters
/// without control characters, as modules' names are (docs/formats.md: Patterns). UsageError with the reason alone,
/// "bad escape \R at 3", for what `re` refuses and for the few things that only one of the two can do.
TranslatedRegex python_to_pcre2(std::string_view pattern);

}  // namespace loragrad

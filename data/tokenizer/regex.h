#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace loragrad {

/// Bytes [begin, end) of a text; `match` tells what a pattern matched from what lies between.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool match = false;
};

/// A regular expression as tokenizer files write them (Oniguruma's dialect), run by PCRE2 with UTF, UCP and JIT.
/// Immutable.
class Regex {
 public:
  /// What the pattern cannot say in both dialects alike is refused: InputError("WHERE: expected ..., found PATTERN").
  Regex(std::string_view pattern, const std::string& where);
  Regex(Regex&&) noexcept;
  ~Regex();

  /// All matches of valid UTF-8, left to right. InputError when a match runs past PCRE2's limits.
  std::vector<Span> find_all(std::string_view text) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// `pattern` in PCRE2's dialect; empty when it uses something that the two read differently.
std::string to_pcre2(std::string_view pattern);

}  // namespace loragrad

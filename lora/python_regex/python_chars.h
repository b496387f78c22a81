#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace loragrad {

/// Where a translation of a Python pattern stands in it, character by character.
class PatternReader {
 public:
  /// UsageError for what is not UTF-8.
  explicit PatternReader(std::string_view pattern);

  static constexpr char32_t end = 0xffffffff;  ///< what stands behind the last character
  char32_t peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : end; }
  char32_t next() { return at_ < text_.size() ? text_[at_++] : end; }
  /// Steps over `c` if it comes next.
  bool take(char32_t c) { return peek() == c ? (++at_, true) : false; }
  /// Digits of `base` that come next, at most `most` of them.
  std::u32string digits(int base, std::size_t most);
  /// What comes before `terminator`, which is stepped over; not empty.
  std::string until(char terminator);

  std::size_t place() const { return at_; }
  void seek(std::size_t place) { at_ = place; }
  [[noreturn]] void fail(const std::string& reason, std::size_t place) const;
  [[noreturn]] void fail(const std::string& reason) const { fail(reason, at_); }

 private:
  std::u32string text_;
  std::size_t at_ = 0;
};

/// One character as PCRE2 reads it anywhere, in a class too.
std::string quoted_char(char32_t c);

/// What an escape stands for: a set of characters ('d', 'D', 's', 'S', 'w', 'W'), or one character.
struct EscapedChar {
  char set = 0;
  char32_t value = 0;
};
/// An escape for characters, the reader behind its backslash. Assertions and references to groups are not among them.
EscapedChar read_escape(PatternReader& in, bool in_class);

/// A class in PCRE2's words, the reader behind its bracket. `caseless` is for what case means beyond ASCII.
std::string read_class(PatternReader& in, bool caseless);
/// Fails for a character whose other case only one of the two knows.
void require_plain_case(const PatternReader& in, char32_t c, bool caseless);

}  // namespace loragrad

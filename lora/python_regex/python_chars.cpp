#include "lora/python_regex/python_chars.h"

#include <fmt/format.h>

#include "engine/error.h"
#include "io/json.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

bool is_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

int digit_value(char32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A') + 10;
  return 99;
}

char32_t number(const std::u32string& digits, int base) {
  char32_t value = 0;
  for (char32_t c : digits) value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit_value(c));
  return value;
}

/// The character of `count` hexadecimal digits.
char32_t hexadecimal(PatternReader& in, std::size_t count) {
  std::u32string digits = in.digits(16, count);
  if (digits.size() != count) in.fail("incomplete escape");
  char32_t value = number(digits, 16);
  if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) in.fail("an escape for no character");
  return value;
}

/// A character of a class, or a set.
EscapedChar class_member(PatternReader& in) {
  char32_t c = in.next();
  if (c == PatternReader::end) in.fail("unterminated character set");
  return c == '\\' ? read_escape(in, true) : EscapedChar{0, c};
}

std::string text_of(const EscapedChar& c) { return c.set ? std::string("\\") + c.set : quoted_char(c.value); }

}  // namespace

PatternReader::PatternReader(std::string_view pattern) {
  for (std::size_t at = 0; at < pattern.size();) {
    CodePoint point = code_point_at(pattern, at);
    if (!point.valid) throw UsageError(fmt::format("no UTF-8 at byte {}", at));
    text_ += point.value;
    at += point.size;
  }
}

std::u32string PatternReader::digits(int base, std::size_t most) {
  std::u32string found;
  while (found.size() < most && digit_value(peek()) < base) found += next();
  return found;
}

std::string PatternReader::until(char terminator) {
  std::string found;
  for (std::size_t begin = at_; peek() != static_cast<char32_t>(terminator); ++at_) {
    if (peek() == end) fail(fmt::format("missing {}", terminator), begin);
    found += peek() < 0x80 ? static_cast<char>(peek()) : '?';
  }
  if (found.empty()) fail("missing group name");
  ++at_;
  return found;
}

void PatternReader::fail(const std::string& reason, std::size_t place) const {
  throw UsageError(fmt::format("{} at {}", reason, place));
}

std::string quoted_char(char32_t c) {
  if (is_letter(c) || digit_value(c) < 10 || c == '_') return {static_cast<char>(c)};
  return fmt::format("\\x{{{:x}}}", static_cast<std::uint32_t>(c));
}

EscapedChar read_escape(PatternReader& in, bool in_class) {
  std::size_t begin = in.place() - 1;
  char32_t c = in.next();
  switch (c) {
    case PatternReader::end:
      in.fail("bad escape (end of pattern)", begin);
    case 'd':
    case 'D':
    case 's':
    case 'S':
    case 'w':
    case 'W':
      return {static_cast<char>(c), 0};
    case 'a':
      return {0, 7};
    case 'f':
      return {0, '\f'};
    case 'n':
      return {0, '\n'};
    case 'r':
      return {0, '\r'};
    case 't':
      return {0, '\t'};
    case 'v':
      return {0, '\v'};
    case 'x':
      return {0, hexadecimal(in, 2)};
    case 'u':
      return {0, hexadecimal(in, 4)};
    case 'U':
      return {0, hexadecimal(in, 8)};
    default:
      break;
  }
  if (c == 'b' && in_class) return {0, 8};
  // Outside of a class only a leading 0, or three digits, are octal: others refer to groups.
  if (digit_value(c) < 8) {
    in.seek(in.place() - 1);
    char32_t value = number(in.digits(8, 3), 8);
    if (value > 0xff) in.fail("octal escape value outside of range 0-0o377", begin);
    return {0, value};
  }
  if (is_letter(c) || digit_value(c) < 10)
    in.fail(fmt::format("bad escape \\{}{}", static_cast<char>(c), c == 'N' ? " (names of characters: not read)" : ""),
            begin);
  return {0, c};
}

void require_plain_case(const PatternReader& in, char32_t c, bool caseless) {
  if (caseless && c > 0x7f) in.fail("a character beyond ASCII whose case is ignored (not supported)");
}

std::string read_class(PatternReader& in, bool caseless) {
  std::string out = "[";
  if (in.take('^')) out += '^';
  for (bool first = true; first || in.peek() != ']'; first = false) {
    EscapedChar from = class_member(in), to = from;
    std::size_t place = in.place();
    // A dash before the closing bracket is one of the characters.
    bool range = in.peek() == '-' && in.peek(1) != ']';
    if (range) {
      in.next();
      to = class_member(in);
      if (from.set || to.set || to.value < from.value) in.fail("bad character range", place);
    }
    for (const EscapedChar& member : {from, to})
      if (!member.set) require_plain_case(in, member.value, caseless);
    out += text_of(from);
    if (range) out += "-" + text_of(to);
  }
  in.next();
  return out + "]";
}

}  // namespace loragrad

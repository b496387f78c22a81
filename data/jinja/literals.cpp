#include "data/jinja/literals.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "data/jinja/value.h"
#include "data/unicode.h"
#include "io/utf8.h"

namespace loragrad::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Digits with single _ between them.
std::size_t digits_size(std::string_view text, auto is_one) {
  std::size_t size = 0;
  while (size < text.size() &&
         (is_one(text[size]) || (size > 0 && text[size] == '_' && size + 1 < text.size() && is_one(text[size + 1]))))
    ++size;
  return size;
}

/// The value of `size` digits, or of fewer where `at_least` is smaller.
char32_t code_of(std::string_view text, std::size_t at_least, std::size_t size, int base, int line, std::size_t& used) {
  std::uint32_t code = 0;
  const char* begin = text.data();
  const char* end = begin + std::min(size, text.size());
  auto [stop, error] = std::from_chars(begin, end, code, base);
  used = static_cast<std::size_t>(stop - begin);
  if (error != std::errc() || used < at_least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
    throw Fault("expected an escape of a character, found \\" + escaped(text.substr(0, size), 20), line);
  return code;
}

}  // namespace

std::size_t quoted_size(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == text[0])
      return i + 1;
  }
  return 0;
}

std::string unescaped_literal(std::string_view text, int line) {
  constexpr std::string_view letters = "abfnrtv\\'\"", meanings = "\a\b\f\n\r\t\v\\'\"";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    char letter = text[++i];
    std::size_t used = 0;
    std::string_view rest = text.substr(i + 1);
    if (std::size_t known = letters.find(letter); known != std::string_view::npos)
      out += meanings[known];
    else if (letter == 'x')
      append_utf8(out, code_of(rest, 2, 2, 16, line, used)), i += used;
    else if (letter == 'u')
      append_utf8(out, code_of(rest, 4, 4, 16, line, used)), i += used;
    else if (letter == 'U')
      append_utf8(out, code_of(rest, 8, 8, 16, line, used)), i += used;
    else if (letter >= '0' && letter <= '7')
      append_utf8(out, code_of(text.substr(i), 1, 3, 8, line, used)), i += used - 1;
    else if (letter == 'N')
      throw Fault("a character's name (\\N{...}) is not supported: write \\uXXXX", line);
    else if (letter != '\n')
      out += '\\', out += letter;  // Python keeps what it does not know
  }
  return out;
}

std::pair<std::size_t, bool> numeral_size(std::string_view text, bool behind_dot) {
  if (text.size() > 2 && text[0] == '0' && std::string_view("xXoObB").find(text[1]) != std::string_view::npos) {
    auto is_one = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
    if (std::size_t size = digits_size(text.substr(2), is_one)) return {2 + size, true};
  }
  std::size_t whole = digits_size(text, is_digit), size = whole;
  if (behind_dot) return {whole, true};
  if (size + 1 < text.size() && text[size] == '.' && is_digit(text[size + 1]))
    size += 1 + digits_size(text.substr(size + 1), is_digit);
  if (size < text.size() && (text[size] == 'e' || text[size] == 'E')) {
    std::size_t at = size + 1;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (std::size_t exponent = digits_size(text.substr(std::min(at, text.size())), is_digit)) size = at + exponent;
  }
  return {size, size == whole};
}

std::size_t name_size(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size()) {
    CodePoint point = code_point_at(text, size);
    if (!is_word(point.value) || (size == 0 && is_numeric(point.value))) break;
    size += point.size;
  }
  return size;
}

std::size_t sign_size(std::string_view text) {
  for (std::string_view two : {"//", "**", "==", "!=", ">=", "<="})
    if (text.starts_with(two)) return 2;
  return std::string_view("+-/*%~[](){}><=.:|,;").find(text[0]) != std::string_view::npos;
}

}  // namespace loragrad::jinja

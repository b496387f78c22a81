#include "io/json_numerals.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

namespace loragrad {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_numeral(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' || c == '.';
}

bool overflows(std::string_view text) {
  // A shorter integer is handed over by the lexer.
  constexpr std::size_t largest_digits = std::numeric_limits<double>::max_exponent10;
  if (text.size() <= largest_digits && text.find_first_of(".eE") == std::string_view::npos) return false;
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Out of range is below the smallest too; of the two, only this is told apart by value.
  return error == std::errc::result_out_of_range && std::isinf(std::strtod(std::string(text).c_str(), nullptr));
}

std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (; at < text.size() && text[at] != '"'; ++at)
    if (text[at] == '\\') ++at;
  return at + 1;
}

}  // namespace

std::vector<OddNumeral> odd_numerals(std::string_view text) {
  std::vector<OddNumeral> found;
  std::size_t numbers = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = end_of_string(text, at + 1);
      continue;
    }
    std::size_t begin = at;
    while (at < text.size() && is_numeral(text[at])) ++at;
    if (begin == at) {
      ++at;
      continue;
    }
    std::string_view word = text.substr(begin, at - begin);
    bool named = word == "NaN" || word == "Infinity" || word == "-Infinity";
    if (!named && !is_digit(word[0]) && word[0] != '-') continue;  // true, false, null
    if (named || overflows(word)) found.push_back({numbers, word});
    ++numbers;
  }
  return found;
}

}  // namespace loragrad

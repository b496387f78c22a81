#include <cctype>

#include "data/tokenizer/regex.h"

namespace loragrad {
namespace {

// Unicode White_Space and its complement as members of a class. PCRE2's own \s also takes U+180E.
constexpr std::string_view space =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view no_space =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";

// Appends the escape at pattern[at] (behind the backslash), moves `at` to its last character; false when unknown.
bool append_escape(std::string& out, std::string_view pattern, std::size_t& at, bool in_class) {
  char c = pattern[at];
  if (c == 's' || c == 'S') {
    std::string_view members = c == 's' ? space : no_space;
    if (!in_class) out += '[';
    out += members;
    if (!in_class) out += ']';
    return true;
  }
  if (c == 'v') return out += R"(\x{b})", true;
  if (c == 'u') {
    if (at + 4 >= pattern.size()) return false;
    for (std::size_t i = 1; i <= 4; ++i)
      if (!std::isxdigit(static_cast<unsigned char>(pattern[at + i]))) return false;
    out += "\\x{" + std::string(pattern.substr(at + 1, 4)) + "}";
    at += 4;
    return true;
  }
  // "\\xe9" is a byte to Oniguruma, U+00E9 to PCRE2.
  if (c == 'x' &&
      (at + 1 >= pattern.size() || (pattern[at + 1] != '{' && (pattern[at + 1] < '0' || pattern[at + 1] > '7'))))
    return false;
  constexpr std::string_view alike = "dDpPrntfaex";
  if (std::isalnum(static_cast<unsigned char>(c)) && alike.find(c) == std::string_view::npos) return false;
  out += '\\';
  out += c;
  if ((c == 'p' || c == 'P' || c == 'x') && at + 1 < pattern.size() && pattern[at + 1] == '{') {
    std::size_t end = pattern.find('}', at);
    if (end == std::string_view::npos) return false;
    out += pattern.substr(at + 1, end - at);
    at = end;
  }
  return true;
}

}  // namespace

std::string to_pcre2(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  std::size_t class_start = 0;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    char c = pattern[at];
    if (c == '\\') {
      if (++at == pattern.size() || !append_escape(out, pattern, at, in_class)) return "";
      continue;
    }
    if (in_class) {
      // Classes within classes, [:names:] and && mean a set operation in one dialect and characters in the other.
      if (c == '[' || pattern.substr(at, 2) == "&&") return "";
      if (c == ']') {
        if (at == class_start) return "";
        in_class = false;
      }
    } else if (c == '[') {
      in_class = true;
      out += c;
      if (at + 1 < pattern.size() && pattern[at + 1] == '^') out += pattern[++at];
      class_start = at + 1;
      continue;
    } else if (pattern.substr(at, 2) == "(*" || pattern.substr(at, 2) == "}+") {
      return "";  // PCRE2's verbs; a possessive {n,m}+ is a repeated repeat for Oniguruma
    } else if (pattern.substr(at, 2) == "(?") {
      // "(?i)" without a colon reaches further in Oniguruma, across the next bars.
      constexpr std::string_view alike = ":=!><";
      bool caseless = pattern.substr(at, 4) == "(?i:";
      if (!caseless && (at + 2 >= pattern.size() || alike.find(pattern[at + 2]) == std::string_view::npos)) return "";
    }
    out += c;
  }
  return out;
}

}  // namespace loragrad

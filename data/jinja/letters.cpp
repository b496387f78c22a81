#include "data/jinja/letters.h"

#include <utf8proc.h>

#include "data/unicode.h"
#include "io/utf8.h"

namespace loragrad::jinja {
namespace {

utf8proc_category_t category(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }
bool is_cased(char32_t code) {
  auto c = category(code);
  return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
}

/// Letters whose capitals are several: as a word has them, and as its beginning has them.
struct Capitals {
  char32_t letter;
  const char *all, *first;
};
constexpr Capitals several[] = {
    {0xdf, "SS", "Ss"},     {0x149, "ʼN", "ʼN"},    {0x1f0, "J̌", "J̌"},    {0x587, "ԵՒ", "Եւ"},
    {0x1e96, "H̱", "H̱"},     {0x1e97, "T̈", "T̈"},     {0x1e98, "W̊", "W̊"},   {0x1e99, "Y̊", "Y̊"},
    {0x1e9a, "Aʾ", "Aʾ"},   {0xfb00, "FF", "Ff"},   {0xfb01, "FI", "Fi"}, {0xfb02, "FL", "Fl"},
    {0xfb03, "FFI", "Ffi"}, {0xfb04, "FFL", "Ffl"}, {0xfb05, "ST", "St"}, {0xfb06, "ST", "St"}};

void append_upper(std::string& out, char32_t code, bool first) {
  for (const Capitals& letter : several)
    if (letter.letter == code) {
      out += first ? letter.first : letter.all;
      return;
    }
  auto point = static_cast<utf8proc_int32_t>(code);
  append_utf8(out, static_cast<char32_t>(first ? utf8proc_totitle(point) : utf8proc_toupper(point)));
}

/// A final sigma has a form of its own.
bool ends_word(const std::u32string& text, std::size_t at) {
  auto skipped = [](char32_t c) {
    return c == '\'' || c == '.' || c == ':' || category(c) == UTF8PROC_CATEGORY_MN ||
           category(c) == UTF8PROC_CATEGORY_CF;
  };
  std::size_t before = at, after = at + 1;
  while (before > 0 && skipped(text[before - 1])) --before;
  while (after < text.size() && skipped(text[after])) ++after;
  return before > 0 && is_cased(text[before - 1]) && !(after < text.size() && is_cased(text[after]));
}

void append_lower(std::string& out, const std::u32string& text, std::size_t at) {
  if (text[at] == 0x3a3)
    append_utf8(out, ends_word(text, at) ? 0x3c2 : 0x3c3);
  else
    append_lowercase(out, text[at]);
}

}  // namespace

bool is_space(char32_t code) { return is_white_space(code) || (code >= 0x1c && code <= 0x1f); }

bool is_alpha(char32_t code) {
  return category(code) >= UTF8PROC_CATEGORY_LU && category(code) <= UTF8PROC_CATEGORY_LO;
}

bool is_alnum(char32_t code) { return is_alpha(code) || is_numeric(code); }

std::size_t leading_spaces(std::string_view text) {
  std::size_t at = 0;
  for (CodePoint point; at < text.size(); at += point.size)
    if (point = code_point_at(text, at); !is_space(point.value)) break;
  return at;
}

std::size_t trailing_spaces(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t at = end - 1;
    while (at > 0 && continues_character(text[at])) --at;
    if (!is_space(code_point_at(text, at).value)) break;
    end = at;
  }
  return text.size() - end;
}

std::u32string characters(std::string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    CodePoint point = code_point_at(text, at);
    out += point.value;
    at += point.size;
  }
  return out;
}

std::string utf8(std::u32string_view characters) {
  std::string out;
  for (char32_t code : characters) append_utf8(out, code);
  return out;
}

std::string upper(std::string_view text) {
  std::string out;
  for (char32_t code : characters(text)) append_upper(out, code, false);
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  std::u32string all = characters(text);
  for (std::size_t i = 0; i < all.size(); ++i) append_lower(out, all, i);
  return out;
}

bool is_lower(std::string_view text) { return lower(text) == text && upper(text) != text; }
bool is_upper(std::string_view text) { return upper(text) == text && lower(text) != text; }

std::string title(std::string_view text) {
  std::string out;
  std::u32string all = characters(text);
  bool within = false;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (within)
      append_lower(out, all, i);
    else
      append_upper(out, all[i], true);
    within = is_cased(all[i]);
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  std::u32string all = characters(text);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i > 0)
      append_lower(out, all, i);
    else
      append_upper(out, all[i], true);
  }
  return out;
}

}  // namespace loragrad::jinja

// Methods of str that ask what its characters are.
#include <utf8proc.h>

#include <algorithm>
#include <map>

#include "data/jinja/letters.h"
#include "data/jinja/text_methods.h"
#include "data/unicode.h"

namespace loragrad::jinja {
namespace {

bool is_digit(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)) == UTF8PROC_CATEGORY_ND; }

template <bool (*is_one)(char32_t)>
Value all_are(const Text& text, Run&, const Arguments& arguments) {
  Bound("the method", arguments, {});
  std::u32string all = characters(*text.bytes);
  return !all.empty() && std::all_of(all.begin(), all.end(), is_one);
}

Value is_ascii(const Text& text, Run&, const Arguments& arguments) {
  Bound("isascii", arguments, {});
  return std::all_of(text.bytes->begin(), text.bytes->end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

template <bool (*is_cased)(std::string_view)>
Value whole(const Text& text, Run&, const Arguments& arguments) {
  Bound("the method", arguments, {});
  return is_cased(*text.bytes);
}

}  // namespace

TextMethod asking_method(std::string_view name) {
  static const std::map<std::string_view, TextMethod> methods = {
      {"isalnum", all_are<is_alnum>},     {"isalpha", all_are<is_alpha>}, {"isascii", is_ascii},
      {"isdecimal", all_are<is_digit>},   {"isdigit", all_are<is_digit>}, {"islower", whole<is_lower>},
      {"isnumeric", all_are<is_numeric>}, {"isspace", all_are<is_space>}, {"isupper", whole<is_upper>},
  };
  auto found = methods.find(name);
  return found == methods.end() ? nullptr : found->second;
}

}  // namespace loragrad::jinja

// Python's two ways to put values into a text.
#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/operators.h"

namespace loragrad::jinja {
namespace {

constexpr std::size_t widest = 10'000;

[[noreturn]] void refuse(std::string_view spec) {
  throw Fault(fmt::format("expected a format such as %s, %05d or {{:.2f}}, found {}", escaped(spec, 30)));
}

/// fmt has Python's specifications; only what both have gets there. `type` 0: by the value.
std::string formatted(const Value& value, std::string flags, const std::string& width, std::string precision,
                      char type) {
  for (const std::string& digits : {width, precision})
    if (digits.size() > 5 || (!digits.empty() && static_cast<std::size_t>(std::stoi(digits)) > widest))
      refuse(flags + digits);
  if (!precision.empty()) precision = "." + precision;
  auto make = [&](const auto& given, const char* letter) {
    try {
      return fmt::format(fmt::runtime("{:" + flags + width + precision + letter + "}"), given);
    } catch (const fmt::format_error&) {
      refuse(flags + width + precision + letter);
    }
  };
  const char letter[2] = {type, 0};
  if (type == 's' || (type == 0 && !value.is_number())) return make(text_of(value), "");
  if (type == 'r') return make(repr(value), "");
  if (type == 'd' || type == 'x' || type == 'X' || type == 'o' || type == 'b' ||
      (type == 0 && value.as<std::int64_t>())) {
    if (!precision.empty()) refuse(flags + width + precision);
    return make(integer_of(value), type == 0 ? "d" : letter);
  }
  if (type == 0 && precision.empty()) return make(text_of(value), "");
  if (type == 0) type = 'g';
  if (std::string_view("fFeEgG").find(type) != std::string_view::npos) {
    const char of_number[2] = {type, 0};
    return make(number_of(value), of_number);
  }
  if (type == '%')
    return fmt::format(fmt::runtime("{:" + flags + width + (precision.empty() ? ".6" : precision) + "f}%"),
                       100 * number_of(value));
  refuse(std::string(1, type));
}

std::string digits_at(const std::string& text, std::size_t& at) {
  std::string digits;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') digits += text[at++];
  return digits;
}

/// What stands behind the colon in braces: [[fill]align][sign][#][0][width][.precision][type].
std::string by_specification(const Value& value, const std::string& spec) {
  std::size_t at = 0;
  std::string flags;
  auto is_align = [&](std::size_t i) {
    return i < spec.size() && std::string_view("<>^").find(spec[i]) != std::string_view::npos;
  };
  if (is_align(1)) {
    if (spec[0] == '{' || spec[0] == '}') refuse(spec);
    flags = spec.substr(0, 2);
    at = 2;
  } else if (is_align(0)) {
    flags = spec.substr(0, 1);
    at = 1;
  }
  while (at < spec.size() && std::string_view("+- #0").find(spec[at]) != std::string_view::npos) flags += spec[at++];
  std::string width = digits_at(spec, at), precision;
  if (at < spec.size() && spec[at] == '.') precision = digits_at(spec, ++at);
  char type = at < spec.size() ? spec[at++] : '\0';
  if (at != spec.size()) refuse(spec);
  return formatted(value, flags, width, precision, type);
}

}  // namespace

std::string percent_format(const std::string& format, const Value& values) {
  const Sequence* tuple =
      values.sequence() && values.sequence()->kind == Sequence::Kind::tuple ? values.sequence() : nullptr;
  List given = tuple ? tuple->items : List{values};
  std::size_t next = 0;
  std::string out;
  bool by_name = false;
  for (std::size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') {
      out += format[at];
      continue;
    }
    if (++at < format.size() && format[at] == '%') {
      out += '%';
      continue;
    }
    Value value;
    if (at < format.size() && format[at] == '(') {
      std::size_t end = std::min(format.find(')', at), format.size());
      std::string name = format.substr(at + 1, end - at - 1);
      const Value* found = values.dict() ? find(*values.dict(), Value(name)) : nullptr;
      if (!found) throw Fault(fmt::format("%({}): expected a dict with it, found {}", escaped(name), kind_of(values)));
      value = *found;
      by_name = true;
      at = end + 1;
    } else if (next < given.size()) {
      value = given[next++];
    } else {
      throw Fault(fmt::format("expected a value for each % of the text, found {}", given.size()));
    }
    std::string flags;
    bool left = false;
    for (; at < format.size() && std::string_view("-+ #0").find(format[at]) != std::string_view::npos; ++at)
      format[at] == '-' ? void(left = true) : void(flags += format[at]);
    std::string width = digits_at(format, at), precision;
    if (at < format.size() && format[at] == '.') precision = digits_at(format, ++at);
    char type = at < format.size() ? format[at] : '\0';
    if (std::string_view("srdiuxXofFeEgG").find(type) == std::string_view::npos || type == 0)
      refuse("%" + flags + width);
    if (type == 'i' || type == 'u') type = 'd';
    Value number = type == 'd' && value.as<double>() ? Value(static_cast<std::int64_t>(number_of(value))) : value;
    out += formatted(number,
                     (left                                                    ? "<"
                      : width.empty() || flags.find('0') != std::string::npos ? ""
                                                                              : ">") +
                         flags,
                     width, precision, type);
  }
  if (next < given.size() && !by_name && !values.dict())
    throw Fault(fmt::format("expected a % of the text for each of {} values, found {}", given.size(), next));
  return out;
}

std::string brace_format(const std::string& format, const Arguments& arguments) {
  std::string out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < format.size(); ++at) {
    char c = format[at];
    if (c != '{' && c != '}') {
      out += c;
      continue;
    }
    if (at + 1 < format.size() && format[at + 1] == c) {
      out += c;
      ++at;
      continue;
    }
    std::size_t end = format.find('}', at);
    if (c == '}' || end == std::string::npos)
      throw Fault("expected braces in pairs, found one of " + escaped(format, 40));
    std::string field = format.substr(at + 1, end - at - 1), spec;
    if (std::size_t colon = field.find(':'); colon != std::string::npos) {
      spec = field.substr(colon + 1);
      field.resize(colon);
    }
    bool is_number =
        std::all_of(field.begin(), field.end(), [](char d) { return d >= '0' && d <= '9'; }) && field.size() < 5;
    const Value* found = nullptr;
    if (is_number) {
      std::size_t index = field.empty() ? next++ : static_cast<std::size_t>(std::stoi(field));
      if (index < arguments.positional.size()) found = &arguments.positional[index];
    }
    for (const auto& [name, value] : arguments.named)
      if (name == field) found = &value;
    if (!found) throw Fault(fmt::format("format: expected a value for {{{}}}, found none", escaped(field)));
    out += by_specification(*found, spec);
    at = end;
  }
  return out;
}

}  // namespace loragrad::jinja

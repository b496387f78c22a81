#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/error.h"
#include "io/json.h"
#include "io/json_text.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

// As Python's repr: plain digits from 1e-4 up to below 1e16, else an exponent of at least two digits.
std::string double_text(double value) {
  char buffer[32];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  auto e = text.find('e');
  int exponent = std::stoi(std::string(text.substr(e + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(text);
  std::string sign = text[0] == '-' ? "-" : "", digits;
  for (char c : text.substr(0, e))
    if (c >= '0' && c <= '9') digits += c;
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

// ASCII escapes of one code point; above U+FFFF a surrogate pair.
void append_escape(std::string& out, char32_t c) {
  auto unit = [&](unsigned u) { out += fmt::format("\\u{:04x}", u); };
  if (c < 0x10000) return unit(static_cast<unsigned>(c));
  unit(0xd800 + static_cast<unsigned>((c - 0x10000) >> 10));
  unit(0xdc00 + static_cast<unsigned>((c - 0x10000) & 0x3ff));
}

// The two-character escape of a control character, or 0.
char short_escape(char32_t c) {
  switch (c) {
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return 0;
  }
}

void append_items(std::string& out, std::size_t count, char open, char close, const JsonStyle& style, int depth,
                  const auto& append_item) {
  out += open;
  auto new_line = [&](int levels) {
    if (style.indent >= 0) out += "\n" + std::string(static_cast<std::size_t>(style.indent * levels), ' ');
  };
  for (std::size_t i = 0; i < count; ++i) {
    if (i) out += style.indent < 0 ? ", " : ",";
    new_line(depth + 1);
    append_item(i);
  }
  if (count) new_line(depth);
  out += close;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    CodePoint c = code_point_at(text, at);
    if (c.value == '"' || c.value == '\\') {
      out += '\\';
      out += static_cast<char>(c.value);
    } else if (char letter = short_escape(c.value)) {
      out += '\\';
      out += letter;
    } else if (c.value < 0x20 || (ascii && c.value > 0x7f)) {
      append_escape(out, c.value);
    } else if (c.valid) {
      out += text.substr(at, c.size);
    } else {
      out += "\xef\xbf\xbd";
    }
    at += c.size;
  }
  out += '"';
}

void append_json(std::string& out, const Json& json, const JsonStyle& style, int depth) {
  const auto& value = json.value();
  if (std::holds_alternative<std::nullptr_t>(value)) {
    out += "null";
  } else if (const auto* boolean = std::get_if<bool>(&value)) {
    out += *boolean ? "true" : "false";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    out += std::to_string(*integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    if (std::isfinite(*number)) {
      out += double_text(*number);
    } else if (style.not_finite == NotFinite::refuse) {
      throw NumericError(fmt::format("JSON: expected a finite number, found {}", *number));
    } else {
      out += style.not_finite == NotFinite::null ? "null" : fmt::format("{}", *number);
    }
  } else if (const auto* numeral = std::get_if<Json::Numeral>(&value)) {
    out += numeral->text;
  } else if (const auto* string = std::get_if<std::string>(&value)) {
    append_json_string(out, *string, style.ascii);
  } else if (const auto* array = std::get_if<Json::Array>(&value)) {
    append_items(out, array->size(), '[', ']', style, depth,
                 [&](std::size_t i) { append_json(out, (*array)[i], style, depth + 1); });
  } else {
    std::vector<const Json::Object::value_type*> members;
    for (const auto& member : std::get<Json::Object>(value)) members.push_back(&member);
    // The order of UTF-8 bytes is the order of code points, which is Python's.
    if (style.sort_keys)
      std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->first < b->first; });
    append_items(out, members.size(), '{', '}', style, depth, [&](std::size_t i) {
      append_json_string(out, members[i]->first, style.ascii);
      out += ": ";
      append_json(out, members[i]->second, style, depth + 1);
    });
  }
}

std::string Json::dump(int indent, bool sort_keys) const {
  std::string out;
  append_json(out, *this, {.indent = indent, .sort_keys = sort_keys});
  return out;
}

std::string result_text(const Json& json) {
  std::string out;
  append_json(out, json, {.not_finite = NotFinite::null});
  return out;
}

std::string escaped(std::string_view text, std::size_t limit) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    CodePoint c = code_point_at(text, at);
    std::string piece(text.substr(at, c.size));
    if (!c.valid) {
      piece.clear();
      for (char byte : text.substr(at, c.size)) piece += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    } else if (char letter = short_escape(c.value)) {
      piece = {'\\', letter};
    } else if (c.value < 0x20 || (c.value >= 0x7f && c.value < 0xa0)) {
      piece.clear();
      append_escape(piece, c.value);
    }
    if (out.size() + piece.size() > limit) return out + "...";
    out += piece;
    at += c.size;
  }
  return out;
}

}  // namespace loragrad

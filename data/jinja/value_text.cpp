// Values as Python prints them.
#include <fmt/format.h>
#include <utf8proc.h>

#include <cmath>

#include "data/jinja/object.h"
#include "data/jinja/value.h"
#include "io/utf8.h"

namespace loragrad::jinja {
namespace {

bool is_printable(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return code == ' ';
    default:
      return true;
  }
}

std::string quoted(const std::string& text) {
  char quote = text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < text.size();) {
    CodePoint point = code_point_at(text, at);
    char32_t code = point.value;
    if (code == static_cast<unsigned char>(quote) || code == '\\')
      out += '\\', out += static_cast<char>(code);
    else if (code == '\n' || code == '\r' || code == '\t')
      out += code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t";
    else if (is_printable(code))
      out += text.substr(at, point.size);
    else
      out += code < 0x100     ? fmt::format("\\x{:02x}", static_cast<unsigned>(code))
             : code < 0x10000 ? fmt::format("\\u{:04x}", static_cast<unsigned>(code))
                              : fmt::format("\\U{:08x}", static_cast<unsigned>(code));
    at += point.size;
  }
  return out + quote;
}

std::string number_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  return Json(number).dump();
}

std::string joined(const List& items) {
  std::string out;
  for (const Value& item : items) out += (out.empty() ? "" : ", ") + repr(item);
  return out;
}

std::string sequence_text(const Sequence& sequence) {
  switch (sequence.kind) {
    case Sequence::Kind::list:
      return "[" + joined(sequence.items) + "]";
    case Sequence::Kind::tuple:
      return "(" + joined(sequence.items) + (sequence.items.size() == 1 ? ",)" : ")");
    case Sequence::Kind::range:
      return sequence.shown;
    case Sequence::Kind::keys:
      return "dict_keys([" + joined(sequence.items) + "])";
    case Sequence::Kind::values:
      return "dict_values([" + joined(sequence.items) + "])";
    case Sequence::Kind::items:
      return "dict_items([" + joined(sequence.items) + "])";
  }
  return "";
}

}  // namespace

std::string repr(const Value& value) {
  if (const Text* text = value.text())
    return text->markup ? "Markup(" + quoted(*text->bytes) + ")" : quoted(*text->bytes);
  return value.is_undefined() ? "Undefined" : text_of(value);
}

std::string text_of(const Value& value) {
  if (const std::string* text = value.string()) return *text;
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (const auto* yes = value.as<bool>()) return *yes ? "True" : "False";
  if (const auto* number = value.as<std::int64_t>()) return std::to_string(*number);
  if (const auto* number = value.as<double>()) return number_text(*number);
  if (const Sequence* sequence = value.sequence()) return sequence_text(*sequence);
  if (const Object* object = value.object()) throw Fault("expected a value that prints, found " + object->kind());
  const Dict* dict = value.dict();
  // Python would print an address, which no template can mean.
  if (!dict)
    throw Fault("expected a value that prints (|list makes one of what map and select give), found a generator");
  std::string out;
  for (const auto& [key, member] : *dict) out += (out.empty() ? "" : ", ") + repr(key) + ": " + repr(member);
  return "{" + out + "}";
}

std::string kind_of(const Value& value) {
  if (const auto* missing = value.as<Undefined>())
    return missing->what ? "undefined (" + *missing->what + ")" : "undefined";
  if (value.is_none()) return "none";
  if (value.as<bool>() || value.is_number()) return text_of(value);
  if (const std::string* text = value.string()) return '"' + escaped(*text, 40) + '"';
  if (const Object* object = value.object()) return object->kind();
  if (value.dict()) return "a dict";
  if (value.generator()) return "a generator";
  const Sequence* sequence = value.sequence();
  return sequence->kind == Sequence::Kind::list    ? "a list"
         : sequence->kind == Sequence::Kind::tuple ? "a tuple"
                                                   : "a view";
}

}  // namespace loragrad::jinja

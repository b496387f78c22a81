// Methods of str that give parts of a text.
#include <algorithm>
#include <map>

#include "data/jinja/letters.h"
#include "data/jinja/text_methods.h"
#include "io/utf8.h"

namespace loragrad::jinja {
namespace {

Value list_of(const Text& text, std::vector<std::string_view> parts, Run& run, Sequence::Kind kind = {}) {
  List items;
  run.step(parts.size());
  for (std::string_view part : parts) {
    run.take(part.size());
    items.push_back(Value::like(text, std::string(part)));
  }
  return {std::move(items), kind};
}

/// Parts between runs of white space, at most `most` cuts.
std::vector<std::string_view> words(std::string_view text, std::size_t most, bool from_end) {
  std::vector<std::string_view> parts;
  auto trim = [&] { from_end ? text.remove_suffix(trailing_spaces(text)) : text.remove_prefix(leading_spaces(text)); };
  for (trim(); !text.empty(); trim()) {
    if (parts.size() == most) {
      // What is left keeps the spaces at its far end no more than Python does: only those beside the last cut go.
      parts.push_back(text);
      break;
    }
    std::size_t size = 0;  // of the next word
    if (from_end) {
      for (std::size_t at = text.size(); at > 0;) {
        std::size_t begin = at - 1;
        while (begin > 0 && continues_character(text[begin])) --begin;
        if (is_space(code_point_at(text, begin).value)) break;
        at = begin;
        size = text.size() - at;
      }
      parts.push_back(text.substr(text.size() - size));
      text.remove_suffix(size);
    } else {
      for (CodePoint point; size < text.size(); size += point.size)
        if (point = code_point_at(text, size); is_space(point.value)) break;
      parts.push_back(text.substr(0, size));
      text.remove_prefix(size);
    }
  }
  if (from_end) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view between, std::size_t most,
                                       bool from_end) {
  std::vector<std::string_view> parts;
  while (parts.size() < most) {
    std::size_t at = from_end ? text.rfind(between) : text.find(between);
    if (at == std::string_view::npos) break;
    parts.push_back(from_end ? text.substr(at + between.size()) : text.substr(0, at));
    text = from_end ? text.substr(0, at) : text.substr(at + between.size());
  }
  parts.push_back(text);
  if (from_end) std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool from_end>
Value split(const Text& text, Run& run, const Arguments& arguments) {
  Bound given(from_end ? "rsplit" : "split", arguments, {"sep", "maxsplit"});
  std::int64_t limit = given.integer(1, -1);
  std::size_t most = limit < 0 ? std::string::npos : static_cast<std::size_t>(limit);
  run.step(text.bytes->size() / 64);
  const Value* between = given.find(0);
  if (!between || between->is_none()) return list_of(text, words(*text.bytes, most, from_end), run);
  if (string_of(*between).empty()) throw Fault("split: expected a separator, found \"\"");
  return list_of(text, split_at(*text.bytes, string_of(*between), most, from_end), run);
}

template <bool from_end>
Value partition(const Text& text, Run& run, const Arguments& arguments) {
  Bound given(from_end ? "rpartition" : "partition", arguments, {"sep"});
  const std::string &between = string_of(given.at(0)), &all = *text.bytes;
  if (between.empty()) throw Fault("partition: expected a separator, found \"\"");
  std::string_view whole = all;
  std::size_t at = from_end ? all.rfind(between) : all.find(between);
  std::vector<std::string_view> parts{whole.substr(0, at), between,
                                      at == std::string::npos ? "" : whole.substr(at + between.size())};
  if (at == std::string::npos)
    parts = from_end ? std::vector<std::string_view>{"", "", whole} : std::vector<std::string_view>{whole, "", ""};
  return list_of(text, parts, run, Sequence::Kind::tuple);
}

bool ends_line(char32_t code) {
  return (code >= 0x0a && code <= 0x0d) || (code >= 0x1c && code <= 0x1e) || code == 0x85 || code == 0x2028 ||
         code == 0x2029;
}

Value splitlines(const Text& text, Run& run, const Arguments& arguments) {
  Bound given("splitlines", arguments, {"keepends"});
  bool keep = given.flag(0, false);
  std::string_view all = *text.bytes;
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < all.size();) {
    CodePoint point = code_point_at(all, at);
    std::size_t end = at + point.size;
    if (point.value == '\r' && end < all.size() && all[end] == '\n') ++end;
    if (ends_line(point.value)) {
      lines.push_back(all.substr(begin, (keep ? end : at) - begin));
      begin = end;
    }
    at = end;
  }
  if (begin < all.size()) lines.push_back(all.substr(begin));
  return list_of(text, lines, run);
}

}  // namespace

TextMethod splitting_method(std::string_view name) {
  static const std::map<std::string_view, TextMethod> methods = {
      {"partition", partition<false>}, {"rpartition", partition<true>}, {"rsplit", split<true>},
      {"split", split<false>},         {"splitlines", splitlines},
  };
  auto found = methods.find(name);
  return found == methods.end() ? nullptr : found->second;
}

}  // namespace loragrad::jinja

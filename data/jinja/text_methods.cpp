#include "data/jinja/text_methods.h"

#include <algorithm>
#include <map>

#include "data/jinja/letters.h"
#include "data/jinja/operators.h"
#include "io/utf8.h"

namespace loragrad::jinja {
namespace {

/// A string of the text's kind, counted.
Value like(const Text& text, std::string made, Run& run) { return run.made(std::move(made), text.markup); }

template <std::string (*change)(std::string_view)>
Value changed(const Text& text, Run& run, const Arguments& arguments) {
  Bound("the method", arguments, {});
  return like(text, change(*text.bytes), run);
}

template <bool start, bool end>
Value strip(const Text& text, Run& run, const Arguments& arguments) {
  Bound given("strip", arguments, {"chars"});
  const Value* of = given.find(0);
  return like(text,
              stripped(*text.bytes, of && !of->is_none() ? std::optional(string_of(*of)) : std::nullopt, start, end),
              run);
}

/// The characters between the arguments `start` and `end`, and where they begin; nullopt where that is beyond the text.
std::optional<std::pair<std::u32string, std::int64_t>> part(const Text& text, const Bound& given, Run& run) {
  run.take(4 * text.bytes->size());
  std::u32string all = characters(*text.bytes);
  auto size = static_cast<std::int64_t>(all.size());
  auto bound = [&](std::size_t index, std::int64_t fallback) {
    std::int64_t at = given.integer(index, fallback);
    return at < 0 ? std::max<std::int64_t>(at + size, 0) : at;
  };
  std::int64_t start = bound(1, 0), end = std::min(bound(2, size), size);
  if (start > end) return std::nullopt;
  return std::pair(all.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(end - start)), start);
}

template <bool at_start>
Value has_end(const Text& text, Run& run, const Arguments& arguments) {
  Bound given(at_start ? "startswith" : "endswith", arguments, {"prefix", "start", "end"});
  auto within = part(text, given, run);
  std::string all = within ? utf8(within->first) : "";
  auto is_end = [&](const Value& end) {
    const std::string& what = string_of(end);
    return within && (at_start ? all.starts_with(what) : all.ends_with(what));
  };
  const Sequence* several = given.at(0).sequence();
  if (!several) return is_end(given.at(0));
  return std::any_of(several->items.begin(), several->items.end(), is_end);
}

/// find, rfind, index, rindex: the character at which `what` begins.
template <bool last, bool must>
Value find_text(const Text& text, Run& run, const Arguments& arguments) {
  Bound given("find", arguments, {"sub", "start", "end"});
  std::u32string what = characters(string_of(given.at(0)));
  auto within = part(text, given, run);
  std::size_t at = !within ? std::u32string::npos : last ? within->first.rfind(what) : within->first.find(what);
  if (at != std::u32string::npos) return static_cast<std::int64_t>(at) + within->second;
  if (must) throw Fault("expected a string with " + kind_of(given.at(0)) + ", found none of it");
  return -1;
}

Value count(const Text& text, Run& run, const Arguments& arguments) {
  Bound given("count", arguments, {"sub", "start", "end"});
  std::u32string what = characters(string_of(given.at(0)));
  auto within = part(text, given, run);
  if (!within) return 0;
  if (what.empty()) return within->first.size() + 1;
  std::int64_t found = 0;
  for (std::size_t at = 0; (at = within->first.find(what, at)) != std::u32string::npos; at += what.size()) ++found;
  return found;
}

Value replace(const Text& text, Run& run, const Arguments& arguments) {
  Bound given("replace", arguments, {"old", "new", "count"});
  return like(text, replaced(*text.bytes, string_of(given.at(0)), string_of(given.at(1)), given.integer(2, -1), run),
              run);
}

template <bool prefix>
Value without(const Text& text, Run& run, const Arguments& arguments) {
  Bound given(prefix ? "removeprefix" : "removesuffix", arguments, {"affix"});
  const std::string& what = string_of(given.at(0));
  std::string all = *text.bytes;
  if (prefix && all.starts_with(what)) all.erase(0, what.size());
  if (!prefix && !what.empty() && all.ends_with(what)) all.resize(all.size() - what.size());
  return like(text, std::move(all), run);
}

Value join(const Text& text, Run& run, const Arguments& arguments) {
  Bound given("join", arguments, {"iterable"});
  std::string out;
  bool first = true;
  for (const Value& item : items_of(given.at(0))) {
    run.take(string_of(item).size() + text.bytes->size());
    if (!std::exchange(first, false)) out += *text.bytes;
    out += string_of(item);
  }
  return Value::like(text, std::move(out));
}

enum class Side { left, right, both };
template <Side side>
Value pad(const Text& text, Run& run, const Arguments& arguments) {
  Bound given("padding", arguments, {"width", "fillchar"});
  std::int64_t width = integer_of(given.at(0)), missing = std::max<std::int64_t>(width - size_of(*text.bytes), 0);
  // Python puts the odd one of a centred text by the parity of the width.
  std::int64_t left = side == Side::left ? 0 : side == Side::right ? missing : missing / 2 + (missing & width & 1);
  return like(text, padded(*text.bytes, left, missing - left, given.string(1, " "), run), run);
}

Value zfill(const Text& text, Run& run, const Arguments& arguments) {
  Bound given("zfill", arguments, {"width"});
  const std::string& all = *text.bytes;
  std::size_t sign = !all.empty() && (all[0] == '-' || all[0] == '+');
  return like(text, all.substr(0, sign) + padded(all.substr(sign), integer_of(given.at(0)) - size_of(all), 0, "0", run),
              run);
}

Value format(const Text& text, Run& run, const Arguments& arguments) {
  return like(text, brace_format(*text.bytes, arguments), run);
}

std::string swapcase(std::string_view text) {
  std::string out;
  for (char32_t code : characters(text)) {
    std::string one = utf8({&code, 1}), up = upper(one);
    out += up != one ? up : lower(one);
  }
  return out;
}

}  // namespace

std::string stripped(std::string_view text, const std::optional<std::string>& of, bool start, bool end) {
  if (!of) {
    if (start) text.remove_prefix(leading_spaces(text));
    if (end) text.remove_suffix(trailing_spaces(text));
    return std::string(text);
  }
  std::u32string all = characters(text), out = characters(*of);
  std::size_t first = 0, last = all.size();
  while (start && first < last && out.find(all[first]) != std::u32string::npos) ++first;
  while (end && last > first && out.find(all[last - 1]) != std::u32string::npos) --last;
  return utf8(std::u32string_view(all).substr(first, last - first));
}

std::string replaced(const std::string& text, const std::string& what, const std::string& with, std::int64_t count,
                     Run& run) {
  std::string out;
  std::size_t at = 0, limit = count < 0 ? std::string::npos : static_cast<std::size_t>(count);
  auto copy = [&](std::size_t end, const std::string& more) {
    run.take(end - at + more.size());
    out.append(text, at, end - at).append(more);
  };
  for (std::size_t done = 0; done < limit; ++done) {
    if (what.empty()) {
      // Before each character and at the end.
      if (done > 0 && at >= text.size()) break;
      std::size_t end = done == 0 ? 0 : at + code_point_at(text, at).size;
      copy(end, with);
      at = end;
      continue;
    }
    std::size_t found = text.find(what, at);
    if (found == std::string::npos) break;
    copy(found, with);
    at = found + what.size();
  }
  copy(text.size(), "");
  return out;
}

std::string padded(const std::string& text, std::int64_t before, std::int64_t behind, const std::string& with,
                   Run& run) {
  if (size_of(with) != 1) throw Fault("expected one character to fill with, found " + kind_of(with));
  std::string out;
  auto fill = [&](std::int64_t count) {
    run.step(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)));
    for (std::int64_t i = 0; i < count; ++i) out += with;
  };
  fill(before);
  out += text;
  fill(behind);
  return out;
}

TextMethod text_method(std::string_view name) {
  static const std::map<std::string_view, TextMethod> methods = {
      {"capitalize", changed<capitalize>},
      {"center", pad<Side::both>},
      {"count", count},
      {"endswith", has_end<false>},
      {"find", find_text<false, false>},
      {"format", format},
      {"index", find_text<false, true>},
      {"join", join},
      {"ljust", pad<Side::left>},
      {"lower", changed<lower>},
      {"lstrip", strip<true, false>},
      {"removeprefix", without<true>},
      {"removesuffix", without<false>},
      {"replace", replace},
      {"rfind", find_text<true, false>},
      {"rindex", find_text<true, true>},
      {"rjust", pad<Side::right>},
      {"rstrip", strip<false, true>},
      {"startswith", has_end<true>},
      {"strip", strip<true, true>},
      {"swapcase", changed<swapcase>},
      {"title", changed<title>},
      {"upper", changed<upper>},
      {"zfill", zfill},
  };
  auto found = methods.find(name);
  if (found != methods.end()) return found->second;
  TextMethod other = splitting_method(name);
  return other ? other : asking_method(name);
}

}  // namespace loragrad::jinja

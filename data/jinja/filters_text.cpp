// Filters of texts and numbers.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "data/jinja/filters.h"
#include "data/jinja/letters.h"
#include "data/jinja/text_methods.h"

namespace loragrad::jinja {
namespace {

/// A string as it is, with its markup; anything else as it prints.
Value soft(const Value& value) { return value.text() ? value : Value(text_of(value)); }
Value like(const Value& soft_text, std::string text, Run& run) {
  return run.made(std::move(text), soft_text.text()->markup);
}

template <std::string (*change)(std::string_view)>
Value changed(Run& run, const Value& input, const Arguments& arguments) {
  Bound("the filter", arguments, {});
  Value text = soft(input);
  return like(text, change(*text.string()), run);
}

/// Capitals after white space and these signs, where Python's title() goes by letters.
std::string title_words(std::string_view text) {
  std::string out;
  std::u32string word;
  auto end_word = [&] {
    if (word.empty()) return;
    out += upper(utf8({word.data(), 1})) + lower(utf8(std::u32string_view(word).substr(1)));
    word.clear();
  };
  for (char32_t code : characters(text)) {
    if (!is_space(code) && std::u32string_view(U"-({[<").find(code) == std::u32string_view::npos) {
      word += code;
      continue;
    }
    end_word();
    out += utf8({&code, 1});
  }
  end_word();
  return out;
}

Value string(Run&, const Value& input, const Arguments& arguments) {
  Bound("string", arguments, {});
  return soft(input);
}
Value safe(Run&, const Value& input, const Arguments& arguments) {
  Bound("safe", arguments, {});
  return {text_of(input), true};
}
Value escape(Run& run, const Value& input, const Arguments& arguments) {
  Bound("escape", arguments, {});
  return input.text() && input.text()->markup ? input : run.made(html_escaped(text_of(input)), true);
}
Value force_escape(Run& run, const Value& input, const Arguments& arguments) {
  Bound("forceescape", arguments, {});
  return run.made(html_escaped(text_of(input)), true);
}

Value trim(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("trim", arguments, {"chars"});
  const Value* of = given.find(0);
  Value text = soft(input);
  return like(text,
              stripped(*text.string(), of && !of->is_none() ? std::optional(string_of(*of)) : std::nullopt, true, true),
              run);
}

Value replace(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("replace", arguments, {"old", "new", "count"});
  return Value(replaced(text_of(input), text_of(given.at(0)), text_of(given.at(1)), given.integer(2, -1), run),
               input.text() && input.text()->markup);
}

Value indent(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("indent", arguments, {"width", "first", "blank"});
  const Value* width = given.find(0);
  std::string space = width && width->string() ? *width->string() : padded("", given.integer(0, 4), 0, " ", run);
  bool first = given.flag(1, false), blank = given.flag(2, false);
  Value text = soft(input);
  std::string out, all = *text.string() + "\n";
  bool at_start = true;
  for (std::size_t begin = 0; begin < all.size(); at_start = false) {
    std::size_t end = all.find('\n', begin);
    run.take(space.size());
    if (!at_start) out += '\n';
    if (at_start ? first : blank || end > begin) out += space;
    out.append(all, begin, end - begin);
    begin = end + 1;
  }
  return like(text, out, run);
}

Value center(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("center", arguments, {"width"});
  return call(*method_of(soft(input), "center"), run, {{Value(given.integer(0, 80))}, {}});
}

Value truncate(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("truncate", arguments, {"length", "killwords", "end", "leeway"});
  std::string end = given.string(2, "...");
  std::u32string all = characters(text_of(input));
  auto length = static_cast<std::size_t>(std::max<std::int64_t>(given.integer(0, 255), 0));
  auto room = static_cast<std::size_t>(size_of(end));
  if (length < room) throw Fault("truncate: expected a length of at least the end's, found " + std::to_string(length));
  if (all.size() <= length + static_cast<std::size_t>(given.integer(3, 5))) return soft(input);
  std::u32string cut = all.substr(0, length - room);
  if (!given.flag(1, false)) cut.resize(std::min(cut.rfind(U' '), cut.size()));
  return run.made(utf8(cut) + end);
}

Value wordcount(Run&, const Value& input, const Arguments& arguments) {
  Bound("wordcount", arguments, {});
  std::int64_t words = 0;
  bool within = false;
  for (char32_t code : characters(text_of(input))) {
    bool is_part = is_alnum(code) || code == U'_';  // Python's \w
    words += is_part && !within;
    within = is_part;
  }
  return words;
}

Value format(Run& run, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty())
    throw Fault("format: expected values or named values, found both");
  Dict named;
  for (const auto& [name, value] : arguments.named) set(named, name, value);
  return run.made(percent_format(
      text_of(input), arguments.named.empty() ? Value(arguments.positional, Sequence::Kind::tuple) : Value(named)));
}

Value absolute(Run& run, const Value& input, const Arguments& arguments) {
  Bound("abs", arguments, {});
  if (!input.is_integer()) return std::fabs(number_of(input));
  return integer_of(input) < 0 ? combine(Operator::subtract, 0, input, run) : integer_of(input);
}

/// The number that `text` is, as Python's int() or float() reads it.
template <class T>
std::optional<T> read(const std::string& text, int base = 10) {
  std::string digits = stripped(text, std::nullopt, true, true);
  std::erase(digits, '_');
  if (digits.starts_with('+')) digits.erase(0, 1);
  T value{};
  const char *begin = digits.data(), *end = begin + digits.size();
  std::from_chars_result result{};
  if constexpr (std::same_as<T, double>)
    result = std::from_chars(begin, end, value);
  else
    result = std::from_chars(begin, end, value, base);
  return result.ec == std::errc() && result.ptr == end && begin != end ? std::optional(value) : std::nullopt;
}

Value to_integer(Run&, const Value& input, const Arguments& arguments) {
  Bound given("int", arguments, {"default", "base"});
  if (input.is_undefined()) integer_of(input);
  if (input.is_integer()) return integer_of(input);
  Value fallback = given.value_or(0, 0);
  std::optional<double> number = input.as<double>() ? std::optional(number_of(input)) : std::nullopt;
  if (const std::string* text = input.string()) {
    std::string digits = *text;
    auto base = static_cast<int>(std::clamp<std::int64_t>(given.integer(1, 10), 2, 36));
    if ((base == 16 && (digits.starts_with("0x") || digits.starts_with("0X"))) ||
        (base == 2 && digits.starts_with("0b")) || (base == 8 && digits.starts_with("0o")))
      digits.erase(0, 2);
    if (auto whole = read<std::int64_t>(digits, base)) return *whole;
    number = read<double>(*text);
  }
  if (!number || !(std::fabs(*number) < 0x1p63)) return fallback;
  return static_cast<std::int64_t>(*number);
}

Value to_float(Run&, const Value& input, const Arguments& arguments) {
  Bound given("float", arguments, {"default"});
  if (input.is_undefined() || input.is_number()) return number_of(input);
  auto number = input.string() ? read<double>(*input.string()) : std::nullopt;
  return number ? Value(*number) : given.value_or(0, 0.0);
}

Value round(Run&, const Value& input, const Arguments& arguments) {
  Bound given("round", arguments, {"precision", "method"});
  std::string how = given.string(1, "common");
  double scale = std::pow(10, static_cast<double>(given.integer(0, 0))), number = number_of(input);
  if (how == "ceil") return std::ceil(number * scale) / scale;
  if (how == "floor") return std::floor(number * scale) / scale;
  if (how != "common") throw Fault("round: expected common, ceil or floor, found " + escaped(how));
  if (input.is_integer() && scale >= 1) return integer_of(input);
  // To even, as Python; of decimal digits, by the digits that the number has.
  if (scale == 1) return std::nearbyint(number);
  return scale > 1 && scale < 1e16
             ? *read<double>(percent_format("%." + std::to_string(given.integer(0, 0)) + "f", number))
             : std::nearbyint(number * scale) / scale;
}

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    const char* name = c == '&'    ? "&amp;"
                       : c == '<'  ? "&lt;"
                       : c == '>'  ? "&gt;"
                       : c == '"'  ? "&#34;"
                       : c == '\'' ? "&#39;"
                                   : nullptr;
    name ? void(out += name) : void(out += c);
  }
  return out;
}

const FilterMap& text_filters() {
  static const FilterMap all = {
      {"abs", absolute},
      {"capitalize", changed<capitalize>},
      {"center", center},
      {"e", escape},
      {"escape", escape},
      {"float", to_float},
      {"forceescape", force_escape},
      {"format", format},
      {"indent", indent},
      {"int", to_integer},
      {"lower", changed<lower>},
      {"replace", replace},
      {"round", round},
      {"safe", safe},
      {"string", string},
      {"title", changed<title_words>},
      {"tojson",
       [](Run& run, const Value& input, const Arguments& arguments) -> Value {
         return json_text(input, arguments, run);
       }},
      {"trim", trim},
      {"truncate", truncate},
      {"upper", changed<upper>},
      {"wordcount", wordcount},
  };
  return all;
}

}  // namespace loragrad::jinja

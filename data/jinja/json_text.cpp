// json.dumps as transformers gives it to templates: nothing is escaped for HTML.
#include <algorithm>
#include <cmath>

#include "data/jinja/operators.h"

namespace loragrad::jinja {
namespace {

struct Style {
  bool ascii = false, sorted = false;
  std::optional<std::string> indent = {};
  std::string item = ", ", key = ": ";
};

class Writer {
 public:
  Writer(const Style& style, Run& run) : style_(style), run_(run) {}

  void write(const Value& value, std::size_t depth) {
    run_.step();
    if (const std::string* text = value.string()) return append_json_string(out, *text, style_.ascii);
    if (const Dict* dict = value.dict()) return style_.sorted ? write_sorted(*dict, depth) : write_dict(*dict, depth);
    const Sequence* sequence = value.sequence();
    if (sequence && sequence->kind <= Sequence::Kind::tuple)
      return write_all(sequence->items.size(), "[]", depth,
                       [&](std::size_t i) { write(sequence->items[i], depth + 1); });
    out += scalar(value);
  }
  std::string out;

 private:
  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (const auto* yes = value.as<bool>()) return *yes ? "true" : "false";
    if (!value.is_number()) expected("a value that JSON has", value);
    const auto* number = value.as<double>();
    if (number && std::isnan(*number)) return "NaN";
    if (number && std::isinf(*number)) return *number < 0 ? "-Infinity" : "Infinity";
    return text_of(value);
  }
  void write_all(std::size_t count, const char* brackets, std::size_t depth, const auto& write_one) {
    auto new_line = [&](std::size_t levels) {
      if (!style_.indent) return;
      run_.take(levels * style_.indent->size());
      out += '\n';
      for (std::size_t i = 0; i < levels; ++i) out += *style_.indent;
    };
    out += brackets[0];
    for (std::size_t i = 0; i < count; ++i) {
      run_.take(style_.item.size() + style_.key.size());
      if (i > 0) out += style_.item;
      new_line(depth + 1);
      write_one(i);
    }
    if (count > 0) new_line(depth);
    out += brackets[1];
  }
  void write_sorted(Dict dict, std::size_t depth) {
    std::stable_sort(dict.begin(), dict.end(), [](auto& a, auto& b) { return compare(a.first, b.first) < 0; });
    write_dict(dict, depth);
  }
  void write_dict(const Dict& dict, std::size_t depth) {
    write_all(dict.size(), "{}", depth, [&](std::size_t i) {
      const Value& key = dict[i].first;
      append_json_string(out, key.string() ? *key.string() : scalar(key), style_.ascii);
      out += style_.key;
      write(dict[i].second, depth + 1);
    });
  }

  const Style& style_;
  Run& run_;
};

}  // namespace

std::string json_text(const Value& value, const Arguments& arguments, Run& run) {
  Bound given("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  Style style{.ascii = given.flag(0, false), .sorted = given.flag(3, false)};
  if (const Value* indent = given.find(1); indent && !indent->is_none()) {
    style.indent =
        indent->string()
            ? *indent->string()
            : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(integer_of(*indent), 0, 64)), ' ');
    style.item = ",";
  }
  if (const Value* separators = given.find(2); separators && !separators->is_none()) {
    List two = items_of(*separators);
    if (two.size() != 2) throw Fault("tojson: expected two separators, found " + kind_of(*separators));
    style.item = string_of(two[0]);
    style.key = string_of(two[1]);
  }
  Writer writer(style, run);
  writer.write(value, 0);
  run.take(writer.out.size());
  return writer.out;
}

}  // namespace loragrad::jinja

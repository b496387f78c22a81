// Filters of lists and dicts.
#include <algorithm>

#include "data/jinja/filters.h"
#include "data/jinja/letters.h"

namespace loragrad::jinja {
namespace {

Value length(Run&, const Value& input, const Arguments& arguments) {
  Bound("length", arguments, {});
  return size_of(input);
}

Value list(Run& run, const Value& input, const Arguments& arguments) {
  Bound("list", arguments, {});
  List items = items_of(input);
  run.step(items.size());
  return items;
}

Value fallback(Run&, const Value& input, const Arguments& arguments) {
  Bound given("default", arguments, {"default_value", "boolean"});
  bool missing = input.is_undefined() || (given.flag(1, false) && !truth(input));
  return missing ? given.value_or(0, "") : input;
}

Value first(Run&, const Value& input, const Arguments& arguments) {
  Bound("first", arguments, {});
  if (Generator* generator = input.generator(); generator && generator->next < generator->items.size())
    return generator->items[generator->next++];
  List items = items_of(input);
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Value last(Run&, const Value& input, const Arguments& arguments) {
  Bound("last", arguments, {});
  List items = items_of(input);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value join(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("join", arguments, {"d", "attribute"});
  std::string between = given.find(0) ? text_of(given.at(0)) : "", out;
  bool at_start = true;
  for (Value item : items_of(input)) {
    if (const Value* path = given.find(1); path && !path->is_none()) item = attribute_of(item, *path, run);
    std::string text = text_of(item);
    run.take(text.size() + between.size());
    if (!std::exchange(at_start, false)) out += between;
    out += text;
  }
  return out;
}

Value reverse(Run& run, const Value& input, const Arguments& arguments) {
  Bound("reverse", arguments, {});
  if (const Text* text = input.text()) {
    run.take(5 * text->bytes->size());
    std::u32string all = characters(*text->bytes);
    return Value::like(*text, utf8(std::u32string(all.rbegin(), all.rend())));
  }
  List items = items_of(input);
  std::reverse(items.begin(), items.end());
  run.step(items.size());
  return Value::generator(std::move(items));
}

Value items(Run& run, const Value& input, const Arguments& arguments) {
  Bound("items", arguments, {});
  if (input.is_undefined()) return Value::generator({});
  if (!input.dict()) expected("a dict", input);
  return Value::generator(items_of(call(*method_of(input, "items"), run, {})));
}

/// Without case where that does not count.
Value sort_key(const Value& value, bool with_case) {
  return !with_case && value.string() ? Value(lower(*value.string())) : value;
}

/// Comma-separated paths, each compared in turn.
Value sort_key(const Value& item, const Value* path, bool with_case, Run& run) {
  if (!path || path->is_none()) return sort_key(item, with_case);
  if (!path->string()) return sort_key(attribute_of(item, *path, run), with_case);
  List keys;
  for (std::size_t begin = 0; begin <= path->string()->size();) {
    std::size_t end = std::min(path->string()->find(',', begin), path->string()->size());
    keys.push_back(sort_key(attribute_of(item, path->string()->substr(begin, end - begin), run), with_case));
    begin = end + 1;
  }
  return keys;
}

Value sorted(List items, bool reverse, auto key) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) keyed.emplace_back(key(item), std::move(item));
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? compare(b.first, a.first) < 0 : compare(a.first, b.first) < 0;
  });
  List out;
  for (auto& [k, item] : keyed) out.push_back(std::move(item));
  return out;
}

Value sort(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  List items = items_of(input);
  run.step(8 * items.size());
  return sorted(std::move(items), given.flag(0, false),
                [&](const Value& item) { return sort_key(item, given.find(2), given.flag(1, false), run); });
}

Value dictsort(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  if (!input.dict()) expected("a dict", input);
  std::string by = given.string(1, "key");
  if (by != "key" && by != "value") throw Fault("dictsort: expected key or value, found " + escaped(by));
  List items = items_of(call(*method_of(input, "items"), run, {}));
  run.step(8 * items.size());
  return sorted(std::move(items), given.flag(2, false), [&](const Value& item) {
    return sort_key(item.sequence()->items[by == "value"], given.flag(0, false));
  });
}

Value unique(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("unique", arguments, {"case_sensitive", "attribute"});
  List seen, out;
  for (const Value& item : items_of(input)) {
    Value key = sort_key(item, given.find(1), given.flag(0, false), run);
    run.step(1 + seen.size() / 16);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& other) { return equal(other, key); })) continue;
    seen.push_back(key);
    out.push_back(item);
  }
  return Value::generator(std::move(out));
}

template <bool greatest>
Value extreme(Run& run, const Value& input, const Arguments& arguments) {
  Bound given(greatest ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  auto key = [&](const Value& item) { return sort_key(item, given.find(1), given.flag(0, false), run); };
  List items = items_of(input);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  Value best = items.front(), best_key = key(best);
  for (const Value& item : items) {
    Value item_key = key(item);
    if (int order = compare(item_key, best_key); greatest ? order > 0 : order < 0) {
      best = item;
      best_key = item_key;
    }
  }
  return best;
}

Value sum(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("sum", arguments, {"attribute", "start"});
  Value total = given.value_or(1, 0);
  for (const Value& item : items_of(input)) {
    const Value* path = given.find(0);
    total = combine(Operator::add, total, path && !path->is_none() ? attribute_of(item, *path, run) : item, run);
  }
  return total;
}

Value batch(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("batch", arguments, {"linecount", "fill_with"});
  auto size = static_cast<std::size_t>(std::max<std::int64_t>(integer_of(given.at(0)), 1));
  List rows, row;
  List items = items_of(input);
  run.step(items.size());
  for (const Value& item : items) {
    if (row.size() == size) rows.emplace_back(std::exchange(row, {}));
    row.push_back(item);
  }
  const Value* fill = given.find(1);
  if (fill && !fill->is_none() && !row.empty()) {
    run.step(size);
    row.resize(size, *fill);
  }
  if (!row.empty()) rows.emplace_back(row);
  return Value::generator(std::move(rows));
}

}  // namespace

Value attribute_of(const Value& value, const Value& path, Run& run, const Value* fallback) {
  auto part_of = [&](const Value& whole, const Value& key) {
    Value part = item_of(whole, key, run);
    return part.is_undefined() && fallback ? *fallback : part;
  };
  if (path.is_integer()) return part_of(value, path);
  const std::string& text = string_of(path);
  Value found = value;
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t end = std::min(text.find('.', begin), text.size());
    std::string part = text.substr(begin, end - begin);
    bool is_number = !part.empty() && part.size() < 10 &&
                     std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    found = part_of(found, is_number ? Value(std::stoll(part)) : Value(part));
    begin = end + 1;
  }
  return found;
}

const FilterMap& list_filters() {
  static const FilterMap all = {
      {"batch", batch}, {"count", length},      {"d", fallback},         {"default", fallback}, {"dictsort", dictsort},
      {"first", first}, {"items", items},       {"join", join},          {"last", last},        {"length", length},
      {"list", list},   {"max", extreme<true>}, {"min", extreme<false>}, {"reverse", reverse},  {"sort", sort},
      {"sum", sum},     {"unique", unique},
  };
  return all;
}

}  // namespace loragrad::jinja

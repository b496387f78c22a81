#include "data/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/jinja/object.h"
#include "io/utf8.h"

namespace loragrad::jinja {
namespace {

double as_double(const Value& value) {
  if (const auto* number = value.as<double>()) return *number;
  return static_cast<double>(integer_of(value));
}

bool equal_items(const List& a, const List& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal); }

bool is_hashable(const Value& key) {
  if (key.dict()) return false;
  const Sequence* sequence = key.sequence();
  if (!sequence) return true;
  return sequence->kind == Sequence::Kind::tuple &&
         std::all_of(sequence->items.begin(), sequence->items.end(), is_hashable);
}

template <class T>
int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

int Value::height_above(const List& held) {
  constexpr int most = 200;
  int height = 0;
  for (const Value& value : held) height = std::max(height, value.height_ + 1);
  if (height > most) throw Fault(fmt::format("expected at most {} values within each other, found more", most));
  return height;
}

Value::Value(Sequence sequence) : height_(height_above(sequence.items)) {
  value_ = std::make_shared<const Sequence>(std::move(sequence));
}

Value::Value(Dict dict) {
  for (const auto& [key, value] : dict) height_ = std::max(height_, height_above({key, value}));
  value_ = std::make_shared<const Dict>(std::move(dict));
}

Value Value::of(const Json& json) {
  return std::visit(
      [](const auto& value) -> Value {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::same_as<T, Json::Array>) {
          List items;
          for (const Json& item : value) items.push_back(of(item));
          return items;
        } else if constexpr (std::same_as<T, Json::Object>) {
          Dict dict;
          for (const auto& [key, member] : value) dict.emplace_back(key, of(member));
          return dict;
        } else if constexpr (std::same_as<T, Json::Numeral>) {
          if (value.text == "NaN") return std::nan("");
          if (value.text == "Infinity") return HUGE_VAL;
          if (value.text == "-Infinity") return -HUGE_VAL;
          throw Fault(fmt::format("expected numbers of at most 64 bits, found {}", escaped(value.text)));
        } else {
          return value;
        }
      },
      json.value());
}

Value Value::undefined(std::string what) {
  Value value;
  value.value_ = Undefined{std::make_shared<const std::string>(std::move(what))};
  return value;
}

Value Value::generator(List items) {
  Value value;
  value.height_ = height_above(items);
  value.value_ = std::make_shared<Generator>(Generator{std::move(items)});
  return value;
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const auto* yes = value.as<bool>()) return *yes;
  if (value.is_number()) return as_double(value) != 0;
  if (const std::string* text = value.string()) return !text->empty();
  if (const Sequence* sequence = value.sequence()) return !sequence->items.empty();
  if (const Dict* dict = value.dict()) return !dict->empty();
  return true;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return integer_of(a) == integer_of(b);
  if (a.is_number() && b.is_number()) return as_double(a) == as_double(b);
  if (a.get().index() != b.get().index()) return false;
  if (a.is_undefined() || a.is_none()) return true;
  if (a.string()) return *a.string() == *b.string();
  if (const Sequence* x = a.sequence(), *y = b.sequence(); x)
    return x->kind == y->kind && equal_items(x->items, y->items);
  if (const Dict* x = a.dict(), *y = b.dict(); x)
    return x->size() == y->size() && std::all_of(x->begin(), x->end(), [&](const auto& member) {
             const Value* other = find(*y, member.first);
             return other && equal(member.second, *other);
           });
  return a.generator() == b.generator() && a.object() == b.object();
}

int compare(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return order(integer_of(a), integer_of(b));
  if (a.is_number() && b.is_number()) return order(as_double(a), as_double(b));
  if (a.string() && b.string()) return order(*a.string(), *b.string());
  const Sequence *x = a.sequence(), *y = b.sequence();
  if (!x || !y || x->kind != y->kind || x->kind > Sequence::Kind::tuple)
    throw Fault(fmt::format("expected two values with an order, found {} and {}", kind_of(a), kind_of(b)));
  for (std::size_t i = 0; i < x->items.size() && i < y->items.size(); ++i)
    if (!equal(x->items[i], y->items[i])) return compare(x->items[i], y->items[i]);
  return order(x->items.size(), y->items.size());
}

std::int64_t integer_of(const Value& value) {
  if (const auto* number = value.as<std::int64_t>()) return *number;
  if (const auto* yes = value.as<bool>()) return *yes;
  expected("an integer", value);
}

double number_of(const Value& value) {
  if (!value.is_number()) expected("a number", value);
  return as_double(value);
}

const std::string& string_of(const Value& value) {
  if (!value.string()) expected("a string", value);
  return *value.string();
}

List items_of(const Value& value) {
  if (value.is_undefined()) return {};
  if (const Sequence* sequence = value.sequence()) return sequence->items;
  List items;
  if (const Dict* dict = value.dict()) {
    for (const auto& [key, member] : *dict) items.push_back(key);
    return items;
  }
  if (const std::string* text = value.string()) {
    for (std::size_t at = 0, size; at < text->size(); at += size) {
      size = code_point_at(*text, at).size;
      items.emplace_back(text->substr(at, size));
    }
    return items;
  }
  Generator* generator = value.generator();
  if (!generator) expected("something to go through", value);
  items.assign(generator->items.begin() + static_cast<std::ptrdiff_t>(generator->next), generator->items.end());
  generator->next = generator->items.size();
  return items;
}

std::int64_t size_of(const Value& value) {
  std::size_t size = 0;
  if (const Sequence* sequence = value.sequence())
    size = sequence->items.size();
  else if (const Dict* dict = value.dict())
    size = dict->size();
  else if (const std::string* text = value.string())
    size = static_cast<std::size_t>(
        std::count_if(text->begin(), text->end(), [](char c) { return !continues_character(c); }));
  else if (!value.is_undefined())
    expected("something with a length", value);
  return static_cast<std::int64_t>(size);
}

const Value* find(const Dict& dict, const Value& key) {
  for (const auto& [name, value] : dict)
    if (equal(name, key)) return &value;
  return nullptr;
}

const Value* find(const Dict& dict, std::string_view key) {
  for (const auto& [name, value] : dict)
    if (name.string() && *name.string() == key) return &value;
  return nullptr;
}

void set(Dict& dict, const Value& key, Value value) {
  if (!is_hashable(key)) expected("a key that does not change", key);
  for (auto& [name, old] : dict) {
    if (!equal(name, key)) continue;
    old = std::move(value);
    return;
  }
  dict.emplace_back(key, std::move(value));
}

void expected(std::string_view what, const Value& found) {
  throw Fault(fmt::format("expected {}, found {}", what, kind_of(found)));
}

}  // namespace loragrad::jinja

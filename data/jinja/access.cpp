// Members, items and slices.
#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/letters.h"
#include "data/jinja/operators.h"

namespace loragrad::jinja {
namespace {

Value missing(const Value& object, const std::string& name) {
  std::string of = object.dict() ? "a dict" : kind_of(object);
  return Value::undefined(fmt::format("{} has no {}", of, escaped(name)));
}

/// Which of `size` items, counted from the end below 0.
std::optional<std::size_t> position(const Value& index, std::size_t size) {
  std::int64_t at = integer_of(index);
  if (at < 0) at += static_cast<std::int64_t>(size);
  if (at < 0 || at >= static_cast<std::int64_t>(size)) return std::nullopt;
  return static_cast<std::size_t>(at);
}

/// What subscription gives; nullopt where Python would raise.
std::optional<Value> subscript(const Value& object, const Value& key, Run& run) {
  if (const Dict* dict = object.dict()) {
    run.step(dict->size() / 16);
    const Value* found = find(*dict, key);
    return found ? std::optional(*found) : std::nullopt;
  }
  if (!key.is_integer()) return std::nullopt;
  if (const Sequence* sequence = object.sequence(); sequence && sequence->kind <= Sequence::Kind::range) {
    auto at = position(key, sequence->items.size());
    return at ? std::optional(sequence->items[*at]) : std::nullopt;
  }
  const Text* text = object.text();
  if (!text) return std::nullopt;
  run.take(4 * text->bytes->size());
  std::u32string all = characters(*text->bytes);
  auto at = position(key, all.size());
  return at ? std::optional(Value::like(*text, utf8(all.substr(*at, 1)))) : std::nullopt;
}

[[noreturn]] void refuse_undefined(const Value& object, const std::string& name) {
  throw Fault(fmt::format("expected a value with a {}, found {}", escaped(name), kind_of(object)));
}

/// The places that Python's slice takes of `size`.
std::vector<std::size_t> places(const Value& from, const Value& to, const Value& by, std::int64_t size) {
  std::int64_t step = by.is_none() ? 1 : integer_of(by);
  if (step == 0) throw Fault("expected a slice whose step is not 0, found 0");
  auto bound = [&](const Value& given, std::int64_t fallback) {
    if (given.is_none()) return fallback;
    std::int64_t at = integer_of(given);
    if (at < 0) at = at < -size ? -1 : at + size;
    return std::clamp<std::int64_t>(at, step < 0 ? -1 : 0, step < 0 ? size - 1 : size);
  };
  std::int64_t first = bound(from, step < 0 ? size - 1 : 0), last = bound(to, step < 0 ? -1 : size);
  std::vector<std::size_t> found;
  if (step > size || step < -size) step = step < 0 ? -size - 1 : size + 1;
  for (std::int64_t at = first; step < 0 ? at > last : at < last; at += step)
    found.push_back(static_cast<std::size_t>(at));
  return found;
}

}  // namespace

Value member_of(const Value& object, const std::string& name, Run& run) {
  if (object.is_undefined()) refuse_undefined(object, name);
  if (const Object* own = object.object()) {
    auto found = own->member(name);
    return found ? *found : missing(object, name);
  }
  if (auto method = method_of(object, name)) return *method;
  auto found = subscript(object, name, run);
  return found ? *found : missing(object, name);
}

Value item_of(const Value& object, const Value& key, Run& run) {
  if (object.is_undefined()) refuse_undefined(object, text_of(key));
  if (!object.object())
    if (auto found = subscript(object, key, run)) return *found;
  if (!key.string()) return missing(object, text_of(key));
  std::optional<Value> found =
      object.object() ? object.object()->member(*key.string()) : method_of(object, *key.string());
  return found ? *found : missing(object, *key.string());
}

Value slice_of(const Value& object, const Value& from, const Value& to, const Value& by, Run& run) {
  if (const Text* text = object.text()) {
    run.take(5 * text->bytes->size());
    std::u32string all = characters(*text->bytes), out;
    for (std::size_t at : places(from, to, by, static_cast<std::int64_t>(all.size()))) out += all[at];
    return Value::like(*text, utf8(out));
  }
  const Sequence* sequence = object.sequence();
  if (!sequence || sequence->kind > Sequence::Kind::range) {
    if (object.is_undefined()) refuse_undefined(object, "slice");
    return missing(object, "slice");
  }
  run.step(sequence->items.size() / 16);
  List items;
  for (std::size_t at : places(from, to, by, static_cast<std::int64_t>(sequence->items.size())))
    items.push_back(sequence->items[at]);
  // Nobody asks a slice of a range how it prints.
  return {std::move(items), sequence->kind == Sequence::Kind::tuple ? Sequence::Kind::tuple : Sequence::Kind::list};
}

}  // namespace loragrad::jinja

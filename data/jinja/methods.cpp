// Methods of dicts and lists, and of anything by name. What would change a value is refused, as by Jinja's sandbox.
#include <algorithm>

#include "data/jinja/operators.h"
#include "data/jinja/text_methods.h"

namespace loragrad::jinja {
namespace {

Value view(const Dict& dict, Sequence::Kind kind) {
  List items;
  for (const auto& [key, value] : dict)
    items.push_back(kind == Sequence::Kind::keys     ? key
                    : kind == Sequence::Kind::values ? value
                                                     : Value(List{key, value}, Sequence::Kind::tuple));
  return {std::move(items), kind};
}

Value dict_method(const Value& object, std::string_view name, Run& run, const Arguments& arguments) {
  const Dict& dict = *object.dict();
  run.step(dict.size());
  if (name == "get") {
    Bound given("get", arguments, {"key", "default"});
    const Value* found = find(dict, given.at(0));
    return found ? *found : given.value_or(1, nullptr);
  }
  Bound given(name, arguments, {});
  if (name == "copy") return object;
  return view(dict, name == "keys"     ? Sequence::Kind::keys
                    : name == "values" ? Sequence::Kind::values
                                       : Sequence::Kind::items);
}

Value list_method(const Value& object, std::string_view name, Run& run, const Arguments& arguments) {
  const List& items = object.sequence()->items;
  run.step(items.size());
  if (name == "copy") return Bound(name, arguments, {}), object;
  Bound given(name, arguments, {"value"});
  auto is_it = [&](const Value& item) { return equal(item, given.at(0)); };
  if (name == "count") return std::count_if(items.begin(), items.end(), is_it);
  auto at = std::find_if(items.begin(), items.end(), is_it);
  if (at == items.end())
    throw Fault("expected a list with the value, found " + kind_of(given.at(0)) + " in none of it");
  return at - items.begin();
}

using Method = Value (*)(const Value&, std::string_view, Run&, const Arguments&);

Value method(const Value& object, std::string_view name, Method body) {
  auto call = [object, name = std::string(name), body](Run& run, const Arguments& arguments) {
    return body(object, name, run, arguments);
  };
  return {std::make_shared<Function>(std::string(name), call), Value::height_above({object})};
}

Value refused(const Value& object, std::string_view name) {
  return method(object, name, [](const Value& of, std::string_view what, Run&, const Arguments&) -> Value {
    throw Fault("expected nothing that changes a value, found " + std::string(what) + " of " + kind_of(of));
  });
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::optional<Value> method_of(const Value& object, std::string_view name) {
  if (object.dict()) {
    if (is_one_of(name, {"get", "items", "keys", "values", "copy"})) return method(object, name, dict_method);
    if (is_one_of(name, {"clear", "pop", "popitem", "setdefault", "update"})) return refused(object, name);
  }
  if (const Sequence* sequence = object.sequence(); sequence && sequence->kind <= Sequence::Kind::tuple) {
    bool is_list = sequence->kind == Sequence::Kind::list;
    if (is_one_of(name, {"count", "index"}) || (is_list && name == "copy")) return method(object, name, list_method);
    if (is_list && is_one_of(name, {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"}))
      return refused(object, name);
  }
  if (object.text() && text_method(name))
    return method(object, name, [](const Value& of, std::string_view what, Run& run, const Arguments& arguments) {
      return text_method(what)(*of.text(), run, arguments);
    });
  return std::nullopt;
}

}  // namespace loragrad::jinja

// map, select, reject and their like.

#include "data/jinja/filters.h"

namespace loragrad::jinja {
namespace {

Arguments behind(const Arguments& arguments, std::size_t first) {
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(first), arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

/// Items of which the test holds, or none where `yes` is false; without a test, those that are true.
Value chosen(Run& run, const Value& input, const Arguments& arguments, bool yes, bool by_attribute) {
  std::size_t used = by_attribute;
  if (by_attribute && arguments.positional.empty()) throw Fault("expected the name of an attribute, found none");
  TestFunction test = nullptr;
  if (arguments.positional.size() > used) test = test_named(string_of(arguments.positional[used]));
  Arguments rest = test ? behind(arguments, used + 1) : Arguments{};
  List items = items_of(input), out;
  for (const Value& item : items) {
    run.step();
    Value asked = by_attribute ? attribute_of(item, arguments.positional[0], run) : item;
    if ((test ? test(run, asked, rest) : truth(asked)) == yes) out.push_back(item);
  }
  return Value::generator(std::move(out));
}

template <bool yes, bool by_attribute>
Value choose(Run& run, const Value& input, const Arguments& arguments) {
  return chosen(run, input, arguments, yes, by_attribute);
}

Value map(Run& run, const Value& input, const Arguments& arguments) {
  List items = items_of(input), out;
  if (arguments.positional.empty()) {
    Bound given("map", arguments, {"", "attribute", "default"});
    for (const Value& item : items) {
      run.step();
      out.push_back(attribute_of(item, given.at(1), run, given.find(2)));
    }
    return Value::generator(std::move(out));
  }
  FilterFunction filter = filter_named(string_of(arguments.positional[0]));
  Arguments rest = behind(arguments, 1);
  for (const Value& item : items) {
    run.step();
    out.push_back(filter(run, item, rest));
  }
  return Value::generator(std::move(out));
}

/// object.name, but never its item of this name.
Value attribute(Run&, const Value& input, const Arguments& arguments) {
  Bound given("attr", arguments, {"name"});
  const std::string& name = string_of(given.at(0));
  auto found = input.object() ? input.object()->member(name) : method_of(input, name);
  return found ? *found : Value::undefined(kind_of(input) + " has no " + escaped(name));
}

Value group(Run& run, const Value& input, const Arguments& arguments) {
  Bound given("groupby", arguments, {"attribute", "default", "case_sensitive"});
  Arguments by{{}, {{"attribute", given.at(0)}, {"case_sensitive", given.flag(2, false)}}};
  List sorted = items_of(filter_named("sort")(run, input, by)), groups, members;
  std::optional<Value> key;
  auto end_group = [&] {
    if (key) groups.emplace_back(List{*key, Value(members)}, Sequence::Kind::tuple);
    members.clear();
  };
  for (const Value& item : sorted) {
    Value found = attribute_of(item, given.at(0), run, given.find(1));
    if (!key || !equal(*key, found)) {
      end_group();
      key = found;
    }
    members.push_back(item);
  }
  end_group();
  return groups;
}

}  // namespace

const FilterMap& choosing_filters() {
  static const FilterMap all = {
      {"attr", attribute},
      {"groupby", group},
      {"map", map},
      {"reject", choose<false, false>},
      {"rejectattr", choose<false, true>},
      {"select", choose<true, false>},
      {"selectattr", choose<true, true>},
  };
  return all;
}

}  // namespace loragrad::jinja

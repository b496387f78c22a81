#include "data/jinja/object.h"

#include <fmt/format.h>

#include <algorithm>

namespace loragrad::jinja {

Bound::Bound(std::string_view function, const Arguments& arguments, std::initializer_list<std::string_view> names)
    : function_(function), names_(names.begin(), names.end()), values_(names.size()) {
  if (arguments.positional.size() > values_.size())
    throw Fault(fmt::format("{}: expected at most {} arguments, found {}", function_, values_.size(),
                            arguments.positional.size()));
  std::copy(arguments.positional.begin(), arguments.positional.end(), values_.begin());
  for (const auto& [name, value] : arguments.named) {
    auto at = static_cast<std::size_t>(std::find(names_.begin(), names_.end(), name) - names_.begin());
    if (at == names_.size()) throw Fault(fmt::format("{}: no argument is named {}", function_, escaped(name)));
    if (values_[at]) throw Fault(fmt::format("{}: expected {} once, found it twice", function_, name));
    values_[at] = value;
  }
}

const Value& Bound::at(std::size_t index) const {
  if (!values_[index]) throw Fault(fmt::format("{}: expected an argument {}, found none", function_, names_[index]));
  return *values_[index];
}

std::int64_t Bound::integer(std::size_t index, std::int64_t fallback) const {
  const Value* value = find(index);
  return value && !value->is_none() ? integer_of(*value) : fallback;
}

std::string Bound::string(std::size_t index, std::string fallback) const {
  const Value* value = find(index);
  return value && !value->is_none() ? string_of(*value) : fallback;
}

std::optional<Value> Namespace::member(std::string_view name) const {
  const Value* value = find(members_, name);
  return value ? std::optional(*value) : std::nullopt;
}

void Namespace::set(const std::string& name, Value value) {
  if (name.starts_with('_')) throw Fault("expected a member that does not begin with _, found " + escaped(name));
  jinja::set(members_, name, std::move(value));
}

}  // namespace loragrad::jinja


#include "data/jinja/nodes.h"

namespace loragrad::jinja {

Value Expression::value(Run& run, const ScopePtr& scope) const {
  try {
    Run::Level level(run);
    run.step();
    return evaluate(run, scope);
  } catch (Fault& fault) {
    if (fault.line == 0) fault.line = line;
    throw;
  }
}

Arguments CallArguments::values(Run& run, const ScopePtr& scope) const {
  Arguments arguments;
  for (const ExpressionPtr& each : positional) arguments.positional.push_back(each->value(run, scope));
  for (const auto& [name, each] : named) arguments.named.emplace_back(name, each->value(run, scope));
  if (more)
    for (Value& each : items_of(more->value(run, scope))) arguments.positional.push_back(std::move(each));
  if (more_named) {
    Value given = more_named->value(run, scope);
    if (!given.dict()) expected("a dict behind **", given);
    for (const auto& [name, each] : *given.dict()) arguments.named.emplace_back(string_of(name), each);
  }
  run.step(arguments.positional.size() + arguments.named.size());
  return arguments;
}

Value Name::evaluate(Run&, const ScopePtr& scope) const {
  const Value* found = scope->find(name);
  return found ? *found : Value::undefined(name);
}

Value Items::evaluate(Run& run, const ScopePtr& scope) const {
  List values;
  for (const ExpressionPtr& item : items) values.push_back(item->value(run, scope));
  return {std::move(values), kind};
}

Value Pairs::evaluate(Run& run, const ScopePtr& scope) const {
  Dict dict;
  for (const auto& [key, value] : pairs) {
    Value name = key->value(run, scope);
    run.step(dict.size() / 16);
    set(dict, name, value->value(run, scope));
  }
  return dict;
}

Value Unary::evaluate(Run& run, const ScopePtr& scope) const {
  Value found = operand->value(run, scope);
  if (kind == Kind::no) return !truth(found);
  if (!found.is_number()) expected("a number", found);
  if (found.is_integer()) return combine(kind == Kind::minus ? Operator::subtract : Operator::add, 0, found, run);
  return kind == Kind::minus ? -number_of(found) : number_of(found);
}

Value Binary::evaluate(Run& run, const ScopePtr& scope) const {
  Value a = left->value(run, scope);
  return combine(op, a, right->value(run, scope), run);
}

Value Logical::evaluate(Run& run, const ScopePtr& scope) const {
  Value a = left->value(run, scope);
  return truth(a) == is_and ? right->value(run, scope) : a;
}

Value Comparison::evaluate(Run& run, const ScopePtr& scope) const {
  Value a = first->value(run, scope);
  for (const auto& [comparator, operand] : rest) {
    Value b = operand->value(run, scope);
    if (!holds(comparator, a, b, run)) return false;
    a = std::move(b);
  }
  return true;
}

Value Conditional::evaluate(Run& run, const ScopePtr& scope) const {
  if (truth(condition->value(run, scope))) return then->value(run, scope);
  return otherwise ? otherwise->value(run, scope) : Value::undefined("an if without an else");
}

Value Member::evaluate(Run& run, const ScopePtr& scope) const {
  return member_of(object->value(run, scope), name, run);
}

Value Item::evaluate(Run& run, const ScopePtr& scope) const {
  Value found = object->value(run, scope);
  return item_of(found, key->value(run, scope), run);
}

Value Slice::evaluate(Run& run, const ScopePtr& scope) const {
  Value found = object->value(run, scope);
  auto bound = [&](const ExpressionPtr& each) { return each ? each->value(run, scope) : Value(nullptr); };
  Value first = bound(from), last = bound(to);
  return slice_of(found, first, last, bound(by), run);
}

Value Call::evaluate(Run& run, const ScopePtr& scope) const {
  Value found = function->value(run, scope);
  return call(found, run, arguments.values(run, scope));
}

Value call(const Value& function, Run& run, const Arguments& arguments) {
  Object* object = function.object();
  if (!object || !object->is_callable()) expected("something to call", function);
  return object->call(run, arguments);
}

Value Filter::apply(Run& run, const ScopePtr& scope, const Value& captured) const {
  // A filter's input may be a filter of the captured text itself.
  const auto* inner = dynamic_cast<const Filter*>(input.get());
  Value in = !input ? captured : inner ? inner->apply(run, scope, captured) : input->value(run, scope);
  return filter_named(name)(run, in, arguments.values(run, scope));
}

Value Filter::evaluate(Run& run, const ScopePtr& scope) const {
  Value in = input->value(run, scope);
  return filter_named(name)(run, in, arguments.values(run, scope));
}

Value Test::evaluate(Run& run, const ScopePtr& scope) const {
  Value in = input->value(run, scope);
  return test_named(name)(run, in, arguments.values(run, scope));
}

}  // namespace loragrad::jinja

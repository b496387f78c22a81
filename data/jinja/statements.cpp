#include <fmt/format.h>

#include "data/jinja/nodes.h"

namespace loragrad::jinja {
namespace {

ScopePtr within(const ScopePtr& scope) { return std::make_shared<Scope>(Scope{scope}); }

}  // namespace

Flow Statement::run(Run& run, const ScopePtr& scope) const {
  try {
    Run::Level level(run);
    run.step();
    return execute(run, scope);
  } catch (Fault& fault) {
    if (fault.line == 0) fault.line = line;
    throw;
  }
}

Flow run_body(const Body& body, Run& run, const ScopePtr& scope) {
  for (const StatementPtr& statement : body)
    if (Flow flow = statement->run(run, scope); flow != Flow::on) return flow;
  return Flow::on;
}

void Target::assign(Run& run, const ScopePtr& scope, const Value& value) const {
  run.step();
  if (!parts.empty()) {
    List values = items_of(value);
    if (values.size() != parts.size())
      throw Fault(fmt::format("expected {} values to unpack, found {}", parts.size(), values.size()));
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i].assign(run, scope, values[i]);
    return;
  }
  if (member.empty()) return scope->set(name, value);
  const Value* object = scope->find(name);
  auto* space = object ? dynamic_cast<Namespace*>(object->object()) : nullptr;
  if (!space) expected("a namespace to set a member of", object ? *object : Value::undefined(name));
  space->set(member, value);
}

Flow Output::execute(Run& run, const ScopePtr& scope) const {
  run.write(text_of(value->value(run, scope)));
  return Flow::on;
}

Flow Data::execute(Run& run, const ScopePtr&) const {
  run.write(text);
  return Flow::on;
}

Flow If::execute(Run& run, const ScopePtr& scope) const {
  for (const auto& [condition, body] : branches)
    if (truth(condition->value(run, scope))) return run_body(body, run, scope);
  return run_body(otherwise, run, scope);
}

Flow Set::execute(Run& run, const ScopePtr& scope) const {
  target.assign(run, scope, value->value(run, scope));
  return Flow::on;
}

Flow SetBlock::execute(Run& run, const ScopePtr& scope) const {
  Value text = run.captured([&] { run_body(body, run, within(scope)); });
  target.assign(run, scope, filter ? filter->apply(run, scope, text) : text);
  return Flow::on;
}

Flow FilterBlock::execute(Run& run, const ScopePtr& scope) const {
  Value text = run.captured([&] { run_body(body, run, within(scope)); });
  run.write(text_of(filter->apply(run, scope, text)));
  return Flow::on;
}

Flow With::execute(Run& run, const ScopePtr& scope) const {
  ScopePtr inner = within(scope);
  // Each value is computed outside: one does not see the others.
  std::vector<Value> found;
  for (const auto& [target, expression] : values) found.push_back(expression->value(run, scope));
  for (std::size_t i = 0; i < values.size(); ++i) values[i].first.assign(run, inner, found[i]);
  return run_body(body, run, inner);
}

Flow Generation::execute(Run& run, const ScopePtr& scope) const {
  if (run.is_captured()) {
    run.rendering.lost_generation = true;
    return run_body(body, run, within(scope));
  }
  std::size_t begin = run.rendering.text.size();
  Flow flow = run_body(body, run, within(scope));
  run.rendering.generation.push_back({begin, run.rendering.text.size()});
  return flow;
}

}  // namespace loragrad::jinja

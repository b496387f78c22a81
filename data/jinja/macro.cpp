// {% macro %} and {% call %}.
#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/nodes.h"

namespace loragrad::jinja {
namespace {

class Macro : public Object {
 public:
  Macro(const MacroDefinition* definition, Scope* scope) : definition_(definition), scope_(scope) {}

  bool is_callable() const override { return true; }
  std::string kind() const override { return "the macro " + definition_->name; }
  std::optional<Value> member(std::string_view name) const override {
    if (name == "name") return definition_->name;
    return std::nullopt;
  }

  Value call(Run& run, const Arguments& arguments) override {
    Run::Level level(run);
    // Not an owner: the run keeps the scopes that macros were made in.
    auto scope = std::make_shared<Scope>(Scope{ScopePtr(ScopePtr(), scope_)});
    Arguments rest = arguments;
    set_caller(rest, *scope);
    set_parameters(run, rest, scope);
    const std::string& name = definition_->name;
    if (definition_->uses_varargs)
      scope->set("varargs", Value(std::move(rest.positional), Sequence::Kind::tuple));
    else if (!rest.positional.empty())
      throw Fault(fmt::format("{}: expected at most {} arguments, found {}", name, definition_->parameters.names.size(),
                              arguments.positional.size()));
    if (definition_->uses_kwargs) {
      Dict named;
      for (auto& [key, value] : rest.named) set(named, key, std::move(value));
      scope->set("kwargs", named);
    } else if (!rest.named.empty()) {
      throw Fault(fmt::format("{}: no argument is named {}", name, rest.named[0].first));
    }
    return run.captured([&] { run_body(definition_->body, run, scope); });
  }

 private:
  void set_caller(Arguments& rest, Scope& scope) const {
    if (!definition_->uses_caller) return;
    auto given = std::find_if(rest.named.begin(), rest.named.end(), [](auto& each) { return each.first == "caller"; });
    Value caller = Value::undefined("no caller defined");
    if (given != rest.named.end()) {
      caller = given->second;
      rest.named.erase(given);
    }
    scope.set("caller", caller);
  }
  /// Takes the parameters' values out of `rest`.
  void set_parameters(Run& run, Arguments& rest, const ScopePtr& scope) const {
    const auto& [names, defaults] = definition_->parameters;
    std::size_t given = std::min(names.size(), rest.positional.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      auto named = std::find_if(rest.named.begin(), rest.named.end(),
                                [&name = names[i]](auto& each) { return each.first == name; });
      std::size_t without = names.size() - defaults.size();
      if (named != rest.named.end()) {
        if (i < given) throw Fault(fmt::format("{}: expected {} once, found it twice", definition_->name, names[i]));
        scope->set(names[i], named->second);
        rest.named.erase(named);
      } else if (i < given) {
        scope->set(names[i], rest.positional[i]);
      } else if (i >= without) {
        scope->set(names[i], defaults[i - without]->value(run, scope));
      } else {
        scope->set(names[i], Value::undefined("parameter " + names[i] + " was not provided"));
      }
    }
    rest.positional.erase(rest.positional.begin(), rest.positional.begin() + static_cast<std::ptrdiff_t>(given));
  }

  const MacroDefinition* definition_;
  Scope* scope_;
};

Value macro(const MacroDefinition& definition, Run& run, const ScopePtr& scope) {
  run.keep(scope);
  return std::make_shared<Macro>(&definition, scope.get());
}

}  // namespace

Flow MacroDefinition::execute(Run& run, const ScopePtr& scope) const {
  scope->set(name, macro(*this, run, scope));
  return Flow::on;
}

Flow CallBlock::execute(Run& run, const ScopePtr& scope) const {
  Value function = call->function->value(run, scope);
  Arguments arguments = call->arguments.values(run, scope);
  arguments.named.emplace_back("caller", macro(caller, run, scope));
  run.write(text_of(jinja::call(function, run, arguments)));
  return Flow::on;
}

}  // namespace loragrad::jinja

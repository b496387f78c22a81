#include "data/jinja/run.h"

#include <fmt/format.h>

namespace loragrad::jinja {

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope; scope = scope->outer.get())
    for (const auto& [known, value] : scope->names)
      if (known == name) return &value;
  return nullptr;
}

void Scope::set(const std::string& name, Value value) {
  for (auto& [known, old] : names) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  names.emplace_back(name, std::move(value));
}

Run::~Run() {
  for (const auto& space : spaces_) space->clear();
  for (const auto& scope : scopes_) scope->names.clear();
}

void Run::step(std::size_t work) {
  steps_ += work;
  if (steps_ > limits_.steps) throw Fault(fmt::format("expected at most {} steps, found more", limits_.steps));
}

void Run::take(std::size_t bytes) {
  bytes_ += bytes;
  if (bytes_ > limits_.bytes) throw Fault(fmt::format("expected at most {} bytes of text, found more", limits_.bytes));
}

Value Run::made(std::string text, bool markup) {
  take(text.size());
  return {std::move(text), markup};
}

void Run::write(const std::string& text) {
  take(text.size());
  *out_ += text;
}

Run::Level::Level(Run& run) : run_(run) {
  if (run_.depth_ >= run_.limits_.depth)
    throw Fault(fmt::format("expected at most {} levels of nesting, found more", run_.limits_.depth));
  ++run_.depth_;
}

}  // namespace loragrad::jinja

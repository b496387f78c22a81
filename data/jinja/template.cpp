#include "data/jinja/template.h"

#include <fmt/format.h>

#include "data/jinja/parser.h"
#include "data/unicode.h"
#include "engine/error.h"

namespace loragrad::jinja {
namespace {

constexpr std::size_t longest = std::size_t(1) << 20;

InputError at(const std::string& place, const Fault& fault) {
  return InputError(fmt::format("{}: line {}: {}", place, fault.line, fault.what()));
}

}  // namespace

Template::Template(std::string_view source, std::string place) : place_(std::move(place)) {
  if (source.size() > longest)
    throw InputError(
        fmt::format("{}: expected a template of at most {} bytes, found {}", place_, longest, source.size()));
  if (invalid_utf8(source) != std::string::npos)
    throw InputError(place_ + ": expected a template in UTF-8, found other bytes");
  try {
    program_ = std::make_shared<const Program>(parse(source));
  } catch (const Fault& fault) {
    throw at(place_, fault);
  }
}

Rendering Template::render(const Json::Object& names, const Date& date, const Limits& limits) const {
  Run run(limits, date);
  auto scope = std::make_shared<Scope>();
  add_globals(*scope);
  try {
    for (const auto& [name, value] : names) scope->set(name, Value::of(value));
    // What the template sets is its own, and hides these.
    run_body(program_->body, run, std::make_shared<Scope>(Scope{scope}));
  } catch (const Fault& fault) {
    throw at(place_, fault);
  }
  return std::move(run.rendering);
}

bool Template::marks_generation() const { return program_->marks_generation; }

}  // namespace loragrad::jinja

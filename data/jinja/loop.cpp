// {% for %} and its loop.
#include <algorithm>

#include "data/jinja/nodes.h"

namespace loragrad::jinja {
namespace {

/// What a body knows of its loop.
class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  Loop(List items, int depth, const For* recursion, Scope* scope)
      : items_(std::move(items)), depth_(depth), recursion_(recursion), scope_(scope) {}

  int height() const { return height_; }
  void go_to(std::size_t index) { index_ = index; }

  std::optional<Value> member(std::string_view name) const override {
    auto left = items_.size() - index_;
    if (name == "index") return index_ + 1;
    if (name == "index0") return index_;
    if (name == "revindex") return left;
    if (name == "revindex0") return left - 1;
    if (name == "first") return index_ == 0;
    if (name == "last") return left == 1;
    if (name == "length") return items_.size();
    if (name == "depth") return depth_ + 1;
    if (name == "depth0") return depth_;
    if (name == "previtem") return index_ == 0 ? Value::undefined("there is no previous item") : items_[index_ - 1];
    if (name == "nextitem") return left == 1 ? Value::undefined("there is no next item") : items_[index_ + 1];
    if (name == "cycle") return method(name, &Loop::cycle);
    if (name == "changed") return method(name, &Loop::changed);
    return std::nullopt;
  }
  bool is_callable() const override { return recursion_ != nullptr; }
  Value call(Run& run, const Arguments& arguments) override {
    Bound given("loop", arguments, {"iterable"});
    Run::Level level(run);
    return run.captured([&] { recursion_->loop(run, ScopePtr(ScopePtr(), scope_), given.at(0), depth_ + 1); });
  }
  std::string kind() const override { return "a loop"; }

 private:
  Value cycle(const Arguments& given) const {
    if (given.positional.empty()) throw Fault("loop.cycle: expected values, found none");
    return given.positional[index_ % given.positional.size()];
  }
  Value changed(const Arguments& given) const {
    Value now(given.positional, Sequence::Kind::tuple);
    bool differs = !last_ || !equal(*last_, now);
    last_ = now;
    return differs;
  }
  Value method(std::string_view name, Value (Loop::*body)(const Arguments&) const) const {
    auto call = [self = shared_from_this(), body](Run&, const Arguments& given) { return (*self.*body)(given); };
    return {std::make_shared<Function>("loop." + std::string(name), call), height_};
  }

  List items_;
  int height_ = Value::height_above(items_);
  std::size_t index_ = 0;
  int depth_;
  const For* recursion_;
  Scope* scope_;  ///< which the run keeps
  mutable std::optional<Value> last_;
};

}  // namespace

Flow For::execute(Run& run, const ScopePtr& scope) const {
  loop(run, scope, over->value(run, scope), 0);
  return Flow::on;
}

void For::loop(Run& run, const ScopePtr& scope, const Value& values, int depth) const {
  List items = items_of(values);
  run.step(items.size());
  if (condition)
    std::erase_if(items, [&](const Value& item) {
      auto inner = std::make_shared<Scope>(Scope{scope});
      target.assign(run, inner, item);
      return !truth(condition->value(run, inner));
    });
  if (recursive) run.keep(scope);
  auto state = std::make_shared<Loop>(items, depth, recursive ? this : nullptr, scope.get());
  for (std::size_t i = 0; i < items.size(); ++i) {
    state->go_to(i);
    auto inner = std::make_shared<Scope>(Scope{scope});
    inner->set("loop", Value(state, state->height()));
    target.assign(run, inner, items[i]);
    if (run_body(body, run, inner) == Flow::leave) break;
  }
  if (items.empty()) run_body(otherwise, run, std::make_shared<Scope>(Scope{scope}));
}

}  // namespace loragrad::jinja

// Functions that a template finds.
#include <fmt/format.h>

#include <ctime>

#include "data/jinja/operators.h"

namespace loragrad::jinja {
namespace {

constexpr std::int64_t longest_range = 100'000;  // Jinja's sandbox has this one

Value range(Run& run, const Arguments& arguments) {
  Bound given("range", arguments, {"start", "stop", "step"});
  bool from_0 = !given.find(1);
  std::int64_t start = from_0 ? 0 : integer_of(given.at(0)), stop = integer_of(given.at(from_0 ? 0 : 1)),
               step = given.integer(2, 1);
  if (step == 0) throw Fault("range: expected a step that is not 0, found 0");
  List items;
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (std::ssize(items) == longest_range)
      throw Fault(fmt::format("range: expected at most {} items, found more", longest_range));
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  run.step(items.size());
  std::string shown =
      step == 1 ? fmt::format("range({}, {})", start, stop) : fmt::format("range({}, {}, {})", start, stop, step);
  return Sequence{Sequence::Kind::range, std::move(items), std::move(shown)};
}

/// dict(): of a dict, of pairs, and of names.
Value dict(Run& run, const Arguments& arguments) {
  if (arguments.positional.size() > 1) throw Fault("dict: expected at most 1 argument, found more");
  Dict made;
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.dict()) {
      made = *from.dict();
    } else {
      for (const Value& pair : items_of(from)) {
        List two = items_of(pair);
        if (two.size() != 2) throw Fault("dict: expected pairs, found " + kind_of(pair));
        run.step(1 + made.size() / 16);
        set(made, two[0], two[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) set(made, name, value);
  run.step(made.size());
  return made;
}

Value make_namespace(Run& run, const Arguments& arguments) {
  auto space = std::make_shared<Namespace>();
  run.keep(space);
  Value members = dict(run, arguments);
  for (const auto& [name, value] : *members.dict()) space->set(string_of(name), value);
  return Value(space);
}

Value raise_exception(Run&, const Arguments& arguments) {
  Bound given("raise_exception", arguments, {"message"});
  throw Fault(escaped(text_of(given.at(0)), 300));
}

Value strftime_now(Run& run, const Arguments& arguments) {
  Bound given("strftime_now", arguments, {"format"});
  std::tm day{};
  day.tm_year = run.date.year - 1900;
  day.tm_mon = run.date.month - 1;
  day.tm_mday = run.date.day;
  day.tm_hour = 12;
  // Finds weekday and day of the year, in a calendar without summer time.
  std::time_t seconds = ::timegm(&day);
  if (!::gmtime_r(&seconds, &day)) throw Fault("strftime_now: expected a day of this calendar");
  const std::string& format = string_of(given.at(0));
  if (format.empty()) return "";
  if (format.size() > 1000) throw Fault("strftime_now: expected a format of at most 1000 bytes, found more");
  std::string text(16 * format.size() + 1000, '\0');
  text.resize(std::strftime(text.data(), text.size(), format.c_str(), &day));
  return text;
}

/// cycler(...): next(), current and reset() go around values.
class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(List items) : items_(std::move(items)) {}
  std::optional<Value> member(std::string_view name) const override {
    if (name == "current") return items_[at_];
    if (name != "next" && name != "reset") return std::nullopt;
    bool goes_on = name == "next";
    return Value(std::make_shared<Function>(std::string(name),
                                            [self = shared_from_this(), goes_on](Run&, const Arguments&) -> Value {
                                              if (!goes_on) return self->at_ = 0, nullptr;
                                              std::size_t now =
                                                  std::exchange(self->at_, (self->at_ + 1) % self->items_.size());
                                              return self->items_[now];
                                            }),
                 height_);
  }
  std::string kind() const override { return "a cycler"; }
  int height() const { return height_; }

 private:
  List items_;
  int height_ = Value::height_above(items_);
  mutable std::size_t at_ = 0;
};

/// joiner(", "): nothing the first time it is called, then its text.
class Joiner : public Object {
 public:
  explicit Joiner(std::string text) : text_(std::move(text)) {}
  bool is_callable() const override { return true; }
  Value call(Run&, const Arguments&) override { return std::exchange(used_, true) ? text_ : ""; }
  std::string kind() const override { return "a joiner"; }

 private:
  std::string text_;
  bool used_ = false;
};

Value cycler(Run&, const Arguments& arguments) {
  if (arguments.positional.empty()) throw Fault("cycler: expected values, found none");
  auto cycler = std::make_shared<Cycler>(arguments.positional);
  return {cycler, cycler->height()};
}
Value joiner(Run&, const Arguments& arguments) {
  return Value(std::make_shared<Joiner>(Bound("joiner", arguments, {"sep"}).string(0, ", ")));
}

}  // namespace

void add_globals(Scope& scope) {
  auto add = [&](const char* name, Function::Body body) {
    scope.set(name, Value(std::make_shared<Function>(name, std::move(body))));
  };
  add("cycler", cycler);
  add("dict", dict);
  add("joiner", joiner);
  add("namespace", make_namespace);
  add("raise_exception", raise_exception);
  add("range", range);
  add("strftime_now", strftime_now);
}

}  // namespace loragrad::jinja

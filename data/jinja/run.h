#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/jinja/object.h"
#include "data/jinja/template.h"

namespace loragrad::jinja {

/// Names and their values, within those around it.
struct Scope {
  std::shared_ptr<Scope> outer = {};
  std::vector<std::pair<std::string, Value>> names = {};

  /// Null where no scope has it.
  const Value* find(std::string_view name) const;
  void set(const std::string& name, Value value);
};

/// One rendering: what it has written so far, and what it may still take.
class Run {
 public:
  Run(const Limits& limits, const Date& date) : date(date), limits_(limits) {}
  Run(const Run&) = delete;
  ~Run();

  /// Counts a step, or `work` of them; Fault beyond the limit.
  void step(std::size_t work = 1);
  /// Counts bytes that a value or the output takes; Fault beyond the limit.
  void take(std::size_t bytes);
  /// A string that was made, counted.
  Value made(std::string text, bool markup = false);

  void write(const std::string& text);
  /// What `work` writes, instead of to the output.
  template <class Work>
  std::string captured(Work work) {
    std::string text;
    std::string* before = std::exchange(out_, &text);
    struct Restore {
      Run& run;
      std::string* before;
      ~Restore() { run.out_ = before; }
    } restore{*this, before};
    work();
    return text;
  }
  bool is_captured() const { return out_ != &rendering.text; }

  /// One level deeper, as long as it lives; Fault beyond the limit.
  class Level {
   public:
    explicit Level(Run& run);
    ~Level() { --run_.depth_; }
    Level(const Level&) = delete;

   private:
    Run& run_;
  };
  /// Scopes that macros hold on to, and namespaces, live until the end: they may hold each other.
  void keep(std::shared_ptr<Scope> scope) { scopes_.push_back(std::move(scope)); }
  void keep(std::shared_ptr<Namespace> space) { spaces_.push_back(std::move(space)); }

  const Date date;
  Rendering rendering = {};

 private:
  Limits limits_;
  std::size_t steps_ = 0, bytes_ = 0;
  int depth_ = 0;
  std::string* out_ = &rendering.text;
  std::vector<std::shared_ptr<Scope>> scopes_;
  std::vector<std::shared_ptr<Namespace>> spaces_;
};

}  // namespace loragrad::jinja

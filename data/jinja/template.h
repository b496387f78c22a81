#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "io/json.h"

namespace loragrad::jinja {

/// The day that strftime_now sees; the hour is noon.
struct Date {
  int year = 2024, month = 7, day = 26;
};
/// What a rendering may take before it is stopped. Templates come from elsewhere.
struct Limits {
  std::size_t steps = 2'000'000;             ///< expressions and statements
  std::size_t bytes = std::size_t(1) << 27;  ///< of all text that is made on the way
  int depth = 400;                           ///< of expressions within expressions, calls and blocks
};

struct Rendering {
  std::string text = {};
  /// What {% generation %} marks of it, in order.
  std::vector<TextSpan> generation = {};
  /// Whether one of them stood within a macro or a block whose text the template went on to change: their places are
  /// not known.
  bool lost_generation = false;
};

class Program;

/// A Jinja template, as transformers renders chats with it: Jinja's ImmutableSandboxedEnvironment with trim_blocks and
/// lstrip_blocks, break and continue, {% generation %}, raise_exception, strftime_now and json.dumps as tojson (docs/
/// formats.md lists tags, filters, tests, methods and functions). Immutable and thread-safe.
class Template {
 public:
  /// InputError("PLACE: line N: ...") for what is no template, or more than this one knows. `place` is a file, or a
  /// file and key.
  Template(std::string_view source, std::string place);
  /// Renders with these names. InputError as above for an error that the template raises, for one within it, and beyond
  /// `limits`.
  Rendering render(const Json::Object& names, const Date& date, const Limits& limits = {}) const;
  /// Whether it has {% generation %}.
  bool marks_generation() const;
  const std::string& place() const { return place_; }

 private:
  std::string place_;
  std::shared_ptr<const Program> program_;
};

}  // namespace loragrad::jinja

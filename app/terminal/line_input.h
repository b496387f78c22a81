#pragma once
#include <optional>
#include <string>

namespace loragrad {

/// Lines of stdin, between which signals are heard (app/terminal/interrupt.h).
class LineInput {
 public:
  /// Whether somebody types them.
  static bool is_typed();
  /// The next line without its end; nullopt at the end, and where a signal asks the program to end. SIGINT asks for a new
  /// line: what was typed is lost, and `on_interrupt` is called. IoError.
  template <class OnInterrupt>
  std::optional<std::string> next(OnInterrupt on_interrupt) {
    for (;;) {
      Read read = wait();
      if (read == Read::interrupted) {
        on_interrupt();
        continue;
      }
      if (read == Read::line) return take_line();
      return std::nullopt;
    }
  }

 private:
  enum class Read { line, end, interrupted };
  Read wait();
  std::string take_line();

  std::string waiting_;
  bool at_end_ = false;
};

}  // namespace loragrad

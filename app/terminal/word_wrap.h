#pragma once
#include <string>
#include <string_view>

namespace loragrad {

/// Text that comes in pieces, in lines of at most `width` columns: a line is broken at its last space. A word longer than
/// that is left to the terminal.
class WordWrap {
 public:
  explicit WordWrap(int width) : width_(width) {}
  /// What can be shown by now: all but the last word, which may go on.
  std::string push(std::string_view piece);
  /// The rest.
  std::string finish();

 private:
  void end_word(std::string& out);

  int width_, column_ = 0;
  std::string space_, word_;  ///< what waits: spaces, then the word behind them
};

}  // namespace loragrad

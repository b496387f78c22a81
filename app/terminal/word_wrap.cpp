#include "app/terminal/word_wrap.h"

#include <utility>

#include "data/unicode.h"
#include "io/utf8.h"

namespace loragrad {

void WordWrap::end_word(std::string& out) {
  std::string space = std::exchange(space_, ""), word = std::exchange(word_, "");
  int needed = display_width(space) + display_width(word);
  if (column_ > 0 && !word.empty() && column_ + needed > width_) {
    out += "\n";
    space.clear();
    column_ = 0;
  }
  out += space + word;
  column_ += display_width(space) + display_width(word);
}

std::string WordWrap::push(std::string_view piece) {
  std::string out;
  for (std::size_t at = 0, size; at < piece.size(); at += size) {
    size = code_point_at(piece, at).size;
    std::string_view character = piece.substr(at, size);
    if (character == "\n") {
      end_word(out);
      out += "\n";
      column_ = 0;
    } else if (character == " ") {
      if (!word_.empty()) end_word(out);
      space_ += " ";
    } else {
      word_ += character;
    }
  }
  return out;
}

std::string WordWrap::finish() {
  std::string out;
  end_word(out);
  return out;
}

}  // namespace loragrad

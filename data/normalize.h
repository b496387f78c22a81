#pragma once
#include <string>
#include <vector>

#include "data/split.h"
#include "data/unicode.h"

namespace loragrad {

/// One step that rewrites a text before it is split. All take and give valid UTF-8.
struct Normalizer {
  enum class Kind { unicode, prepend, replace, strip };
  Kind kind = Kind::unicode;
  NormalForm form = NormalForm::nfc;  ///< unicode
  std::string content;                ///< prepend: put before a text that is not empty; replace: put for each match
  Pattern pattern;                    ///< replace
  bool left = false, right = false;   ///< strip: white space goes there
};

/// `text` after all steps in order.
std::string normalize(const std::vector<Normalizer>& steps, std::string text);

}  // namespace loragrad

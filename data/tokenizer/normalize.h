#pragma once
#include <string>
#include <vector>

#include "data/tokenizer/normal_form.h"
#include "data/tokenizer/traced_text.h"

namespace loragrad {

/// One step that rewrites a text before it is split. All take and give valid UTF-8.
struct Normalizer {
  enum class Kind { unicode, lowercase, prepend, replace, strip };
  Kind kind = Kind::unicode;
  NormalForm form = NormalForm::nfc;  ///< unicode
  std::string content;                ///< prepend: put before a text that is not empty; replace: put for each match
  Pattern pattern;                    ///< replace
  bool left = false, right = false;   ///< strip: white space goes there
  std::string where = "normalizer";   ///< FILE: KEY, for messages
};

/// `text` after all steps in order. InputError naming the step that makes it longer than `limit` allows.
TracedText normalize(const std::vector<Normalizer>& steps, TracedText text, const GrowthLimit& limit);
/// The same for a text of its own that nobody traces.
std::string normalize(const std::vector<Normalizer>& steps, const std::string& text);

}  // namespace loragrad

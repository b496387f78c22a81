#pragma once
#include <string>
#include <vector>

#include "data/tokenizer/split.h"

namespace loragrad {

/// One step that turns the tokens of a text back into text.
struct DecodeStep {
  enum class Kind { byte_level, byte_fallback, fuse, replace, strip, metaspace };
  Kind kind = Kind::byte_level;
  Pattern pattern;                  ///< replace
  std::string content;              ///< replace: put for each match; strip, metaspace: one character
  std::size_t start = 0, stop = 0;  ///< strip: how many of `content` go from either end of each token
  bool drop_first = false;          ///< metaspace: no spaces from the first token's
  std::string where = "decoder";    ///< FILE: KEY, for messages
};

/// The text of `tokens` after all steps in order; without any, the tokens with spaces between. InputError naming the
/// step that makes them longer than a GrowthLimit allows.
std::string decode_tokens(const std::vector<DecodeStep>& steps, std::vector<std::string> tokens);

}  // namespace loragrad

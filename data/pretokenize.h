#pragma once
#include <string>
#include <vector>

#include "data/split.h"

namespace loragrad {

/// A part of the text; `at_start` tells that it begins where the text begins.
struct Piece {
  std::string text;
  bool at_start = false;
};

/// One step that splits pieces into smaller ones; a BPE word never crosses their bounds.
struct PreTokenizer {
  enum class Kind { byte_level, split, digits, metaspace };
  enum class Prepend { never, first, always };
  Kind kind = Kind::byte_level;

  bool add_prefix_space = false;                     ///< byte_level: a space before each piece without one
  bool use_regex = true;                             ///< byte_level: split by GPT-2's pattern first
  Pattern pattern;                                   ///< split; byte_level: GPT-2's pattern
  SplitBehavior behavior = SplitBehavior::isolated;  ///< split
  bool invert = false;                               ///< split: the pattern matches the pieces, not what is between
  bool individual = false;                           ///< digits: each one alone, or each run of them
  std::string replacement;                           ///< metaspace: stands for a space
  Prepend prepend = Prepend::always;                 ///< metaspace: put before pieces that do not start with it
  bool split_words = true;                           ///< metaspace: split before each replacement
};

/// GPT-2's splitting pattern.  Radford et al. 2019, encoder of the published model.
Pattern gpt2_pattern();

/// `pieces` after all steps in order; none is empty.
std::vector<Piece> pre_tokenize(const std::vector<PreTokenizer>& steps, std::vector<Piece> pieces);

}  // namespace loragrad

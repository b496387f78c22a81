#pragma once
#include <string>
#include <vector>

#include "data/tokenizer/traced_text.h"

namespace loragrad {

/// A text that is split: what is outside of all words is dropped, and no word is empty.
struct Words {
  TracedText text;
  std::vector<Span> bounds;  ///< left to right, none overlapping
  bool at_start = false;     ///< the first word begins where the whole text begins
};

/// One step that splits words into smaller ones; a BPE token never crosses their bounds.
struct PreTokenizer {
  enum class Kind { byte_level, split, digits, metaspace };
  enum class Prepend { never, first, always };
  Kind kind = Kind::byte_level;

  bool add_prefix_space = false;                     ///< byte_level: a space before each word without one
  bool use_regex = true;                             ///< byte_level: split by GPT-2's pattern first
  Pattern pattern;                                   ///< split; byte_level: GPT-2's pattern
  SplitBehavior behavior = SplitBehavior::isolated;  ///< split
  bool invert = false;                               ///< split: the pattern matches the words, not what is between
  bool individual = false;                           ///< digits: each one alone, or each run of them
  std::string replacement;                           ///< metaspace: stands for a space
  Prepend prepend = Prepend::always;                 ///< metaspace: put before words that do not start with it
  bool split_words = true;                           ///< metaspace: split before each replacement
  std::string where = "pre_tokenizer";               ///< FILE: KEY, for messages
};

/// GPT-2's splitting pattern.  Radford et al. 2019, encoder of the published model.
Pattern gpt2_pattern();

/// The words of `text` after all steps in order. InputError naming the step that makes them longer than `limit` allows.
Words pre_tokenize(const std::vector<PreTokenizer>& steps, TracedText text, bool at_start, const GrowthLimit& limit);

}  // namespace loragrad

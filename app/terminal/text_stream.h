#pragma once
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace loragrad {

/// What longer text `all` has behind what it shares with `before`; no part of a character.
std::string added_text(const std::string& before, const std::string& all);

/// Turns token ids into text as they come. A token's text may depend on its neighbours (characters of several bytes,
/// leading spaces), so text is given out once it is whole: prompt and all that was given out together are the text of
/// all ids.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, std::vector<TokenId> prompt);
  /// The text that this token completes; "" while a character is in pieces.
  std::string push(TokenId id);
  /// What is left at the end: broken characters, as U+FFFD.
  std::string finish() const;

 private:
  std::string rest() const;
  const Tokenizer& tokenizer_;
  std::vector<TokenId> ids_;  // those already given out that the next ones need for their context, then the others
  std::size_t given_;
};

}  // namespace loragrad

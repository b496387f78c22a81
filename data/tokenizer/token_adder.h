#pragma once
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/tokenizer_parts.h"

namespace loragrad {

/// Adds tokens to a model's vocabulary as the `tokenizers` library does. A token's id is the vocabulary's; those that
/// are not in it get the ids from the next free one on: the number of the model's tokens, or one more than the largest
/// id added before, where that is not below it. What a file says of ids does not count. A token may be added again with
/// other flags, which replace its old ones; but what was special stays so.
class TokenAdder {
 public:
  explicit TokenAdder(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  /// Adds `tokens` in order; their ids are not looked at. Empty ones are passed over. InputError for a full vocabulary.
  void add(const std::vector<AddedToken>& tokens);
  bool has(const std::string& content) const { return ids_.contains(content); }
  /// Of a token that was added.
  TokenId id_of(const std::string& content) const { return ids_.at(content); }
  /// Fills parts.added and parts.added_vocabulary; parts.normalizer must be there. With `split_special`, special tokens
  /// are only decoded, not looked for in a text.
  void finish(TokenizerParts& parts, bool split_special) const;

 private:
  const Vocabulary& vocabulary_;
  std::unordered_map<std::string, TokenId> ids_;
  std::map<TokenId, AddedToken> tokens_;
  std::unordered_set<std::string> special_;
};

}  // namespace loragrad

#include "data/tokenizer/token_adder.h"

#include "engine/error.h"

namespace loragrad {

void TokenAdder::add(const std::vector<AddedToken>& tokens) {
  auto next = static_cast<TokenId>(vocabulary_.count());
  if (!tokens_.empty() && (tokens_.rbegin()->first >= next || next == 0)) next = tokens_.rbegin()->first + 1;
  for (AddedToken token : tokens) {
    if (token.content.empty()) continue;
    auto known = ids_.find(token.content);
    auto in_model = vocabulary_.find(token.content);
    token.id = known != ids_.end() ? known->second : in_model ? *in_model : next++;
    if (token.id > Vocabulary::max_id) throw InputError("tokenizer: expected fewer than 2^24 tokens, found more");
    ids_.insert_or_assign(token.content, token.id);
    if (token.special) special_.insert(token.content);
    tokens_.insert_or_assign(token.id, std::move(token));
  }
}

void TokenAdder::finish(TokenizerParts& parts, bool split_special) const {
  std::vector<AddedToken> found;
  for (const auto& [id, added] : tokens_) {
    AddedToken token = added;
    token.special = special_.contains(token.content);
    token.matched = !(split_special && token.special);
    parts.added_vocabulary.add(token.content, id);
    found.push_back(std::move(token));
  }
  parts.added = AddedTokens(std::move(found), parts.normalizer);
}

}  // namespace loragrad

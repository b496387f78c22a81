#include "data/tokenizer/vocabulary.h"

namespace loragrad {

bool Vocabulary::add(std::string token, TokenId id) {
  std::size_t index = static_cast<std::size_t>(id);
  if (this->token(id)) return false;
  auto [at, added] = ids_.emplace(std::move(token), id);
  if (!added) return false;
  if (index >= tokens_.size()) tokens_.resize(index + 1, nullptr);
  tokens_[index] = &at->first;
  return true;
}

std::optional<TokenId> Vocabulary::find(std::string_view token) const {
  auto at = ids_.find(token);
  if (at == ids_.end()) return std::nullopt;
  return at->second;
}

const std::string* Vocabulary::token(TokenId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= tokens_.size()) return nullptr;
  return tokens_[static_cast<std::size_t>(id)];
}

}  // namespace loragrad

#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace loragrad {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

/// Tokens and their ids, one to one; ids may have gaps.
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  /// A hundred times the largest in use: guards memory against a lying file.
  static constexpr TokenId max_id = (1 << 24) - 1;

  /// False, and nothing is added, when the token or the id is taken. id in [0, max_id].
  bool add(std::string token, TokenId id);
  std::optional<TokenId> find(std::string_view token) const;
  /// The token, or null for an id that has none.
  const std::string* token(TokenId id) const;
  /// How many tokens there are; less than size() where there are gaps.
  std::size_t count() const { return ids_.size(); }
  /// One more than the largest id.
  std::size_t size() const { return tokens_.size(); }

 private:
  std::unordered_map<std::string, TokenId, TextHash, std::equal_to<>> ids_;
  std::vector<const std::string*> tokens_;  // keys of ids_, which never move; null in a gap
};

}  // namespace loragrad

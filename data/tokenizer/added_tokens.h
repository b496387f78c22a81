#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/normalize.h"
#include "data/tokenizer/vocabulary.h"

namespace loragrad {

/// A token that is found in the text as it is spelled, before anything is split.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  ///< only where no word character is next to it
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space behind it
  bool normalized = false;   ///< found in the normalised text, spelled in its normalised form
  bool special = false;      ///< left out when decoding skips special tokens
  bool matched = true;       ///< false: only decoded; where it is spelled in a text it is text
};

/// Leftmost-longest search for many strings: a trie over bytes.
class StringSet {
 public:
  void add(std::string_view text, std::size_t value);
  struct Match {
    std::size_t begin, end, value;
  };
  /// Matches left to right, none overlapping; at each place the longest.
  std::vector<Match> find_all(std::string_view text) const;

 private:
  static std::uint64_t edge(std::size_t node, char byte) { return node << 8 | static_cast<unsigned char>(byte); }

  std::array<bool, 256> starts_{};
  std::unordered_map<std::uint64_t, std::size_t> edges_;
  std::vector<std::size_t> values_{none};  // by node; 0 is the root
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
};

class AddedTokens {
 public:
  /// What a text is cut into: an added token, or a piece of normalised text.
  struct Part {
    TokenId id = -1;        ///< -1: the piece
    TextSpan span;          ///< of the token if traced, without white space that it takes
    TracedText piece;       ///< never empty
    bool at_start = false;  ///< the piece begins where the text begins
  };

  AddedTokens() = default;
  AddedTokens(std::vector<AddedToken> tokens, const std::vector<Normalizer>& normalizer);
  /// Tokens spelled in `text`, and what is between them, normalised, and traced if asked.
  std::vector<Part> split(std::string_view text, const std::vector<Normalizer>& normalizer, bool traced) const;
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  std::vector<AddedToken> tokens_;
  StringSet raw_;         // indices of tokens_ that are not `normalized`
  StringSet normalized_;  // the others
};

}  // namespace loragrad

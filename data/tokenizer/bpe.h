#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/vocabulary.h"

namespace loragrad {

/// (left id, right id) -> what they merge to and how early. Open addressing: a text asks three times per character.
class MergeTable {
 public:
  struct Merge {
    TokenId id = -1;
    std::uint32_t rank = 0;
  };
  explicit MergeTable(std::size_t count = 0);
  /// A pair that is there already takes the new merge.
  void add(TokenId left, TokenId right, Merge merge);
  /// Null when the pair does not merge.
  const Merge* find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t key = empty;
    Merge merge;
  };
  static constexpr std::uint64_t empty = ~std::uint64_t{0};
  std::size_t slot_of(std::uint64_t key) const;

  std::vector<Slot> slots_;  // a power of two, at most half full
};

/// Byte-pair encoding.  Sennrich et al. 2016, algorithm 1, with the unknown and byte fallbacks of the `tokenizers`
/// library. Of all adjacent pairs the one with the lowest rank, and of equals the leftmost, is merged first, until none
/// is left.
class Bpe {
 public:
  Vocabulary vocabulary;
  MergeTable merges;
  std::string prefix;              ///< put before each character that does not start a word, to look it up
  std::string suffix;              ///< put behind the character that ends a word
  std::optional<TokenId> unknown;  ///< for characters that are not in the vocabulary; else they are dropped
  bool fuse_unknown = false;       ///< one unknown token for a run of such characters
  bool ignore_merges = false;      ///< a word that is a token is that token
  /// Token "<0xNN>" of each byte, -1 where there is none; empty without byte fallback.
  std::vector<TokenId> byte_tokens;

  /// Appends the ids of `word` (valid UTF-8), and if asked for each the bytes of `word` that it stands for: whole
  /// characters, so that several byte tokens stand for one. O(n log n).
  void encode(std::string_view word, std::vector<TokenId>& out, std::vector<TextSpan>* spans = nullptr) const;

 private:
  std::vector<TokenId> characters(std::string_view word, std::vector<TextSpan>* spans) const;
};

}  // namespace loragrad

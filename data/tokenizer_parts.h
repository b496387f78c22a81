#pragma once
#include <string>
#include <vector>

#include "data/added_tokens.h"
#include "data/bpe.h"
#include "data/decode.h"
#include "data/normalize.h"
#include "data/pretokenize.h"

namespace loragrad {

/// What a tokenizer is made of, in the order a text passes through it.
struct TokenizerParts {
  std::string source;
  AddedTokens added;
  std::vector<Normalizer> normalizer;
  std::vector<PreTokenizer> pre_tokenizer;
  Bpe model;
  std::vector<TokenId> before, after;  ///< ids the post-processor puts around a text
  std::vector<DecodeStep> decoder;
  Vocabulary added_vocabulary;  ///< of `added`; a token of the model may be in it too, with the same id

  std::optional<TokenId> find(std::string_view token) const;
  /// Null for an id that has no token.
  const std::string* token(TokenId id) const;
};

/// Reads tokenizer.json. Every component and key must be known: InputError with file, key and what is supported.
TokenizerParts read_tokenizer_json(const std::string& path);
/// Reads vocab.json and merges.txt (GPT-2, OPT), and tokenizer_config.json where it is there, for the special tokens.
TokenizerParts read_vocab_and_merges(const std::string& folder);

}  // namespace loragrad

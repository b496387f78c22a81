#pragma once
#include <string>
#include <vector>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/decode.h"
#include "data/tokenizer/normalize.h"
#include "data/tokenizer/pretokenize.h"

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

  std::optional<TokenId> end_token;                               ///< the "eos_token" of the files beside it
  std::vector<std::pair<std::string, std::string>> named_tokens;  ///< "bos_token" and its like, of those files
  std::vector<std::string> files;                                 ///< those that were read
  std::vector<std::string> warnings;                              ///< a line each

  std::optional<TokenId> find(std::string_view token) const;
  /// Null for an id that has no token.
  const std::string* token(TokenId id) const;
};

/// Reads tokenizer.json alone, as the `tokenizers` library does. Every component and key must be known: InputError with
/// file, key and what is supported.
TokenizerParts read_tokenizer_json(const std::string& path);
/// Reads the tokenizer of a folder as transformers 5 does: tokenizer.json, or vocab.json and merges.txt, with what the
/// files beside them say of tokens. `config` is the model's config.json, where that is not the folder's. InputError as
/// above, or for a class that does not read vocab.json and merges.txt; IoError for a file that cannot be read.
TokenizerParts read_tokenizer_folder(const std::string& folder, const std::optional<std::string>& config);

}  // namespace loragrad

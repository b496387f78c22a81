#pragma once
#include <cstdint>
#include <string>

#include "data/tokenizer/tokenizer.h"
#include "engine/error.h"

namespace loragrad {

/// A token's id that the model has no row for, at `place` (FILE:LINE: KEY).
struct UnknownId : InputError {
  UnknownId(TokenId unknown, std::int64_t size, const std::string& where);
  TokenId id;
  std::int64_t vocab_size;
  std::string place;
};

/// UnknownId for the first id that is not below vocab_size.
void expect_in_vocabulary(const std::vector<TokenId>& ids, std::int64_t vocab_size, const std::string& place);

/// The same of ids that the tokenizer made: InputError that blames it (blame_tokenizer).
void expect_in_vocabulary(const std::vector<TokenId>& ids, std::int64_t vocab_size, const std::string& place,
                          const Tokenizer& tokenizer);

/// The same error, blamed on the tokenizer, which has a token that the model does not: "TOKENIZER: "<x>": expected an
/// id below the model's vocab_size, 260, found 300 (in PLACE)".
InputError blame_tokenizer(const Tokenizer& tokenizer, const UnknownId& error);

}  // namespace loragrad

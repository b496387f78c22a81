#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "models/config.h"

namespace loragrad {

/// The tokens that end a text: generation_config.json's eos_token_id, else config.json's, else the tokenizer's own. The
/// first is what rows get at their end; each of them ends generation.
std::vector<TokenId> end_tokens(const ModelConfig& config, const Tokenizer* tokenizer);

/// A token in a message: "\"<|endoftext|>\" (256)", or its id alone where it has no text.
std::string token_text(TokenId id, const Tokenizer* tokenizer);

/// Warns where the tokenizer's own end token is not among them, or where there is none; `without` says what follows.
void warn_of_end_tokens(const ModelConfig& config, const Tokenizer* tokenizer, const char* without);
/// The same for a data set whose rows get an end token; nothing for others.
void warn_of_end_tokens(const ModelConfig& config, const Tokenizer* tokenizer, const Dataset& data);

}  // namespace loragrad

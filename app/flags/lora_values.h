#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace loragrad {

// What the texts of an adapter's flags mean. UsageError that names the flag.

/// "lm_head,embed_tokens"
std::vector<std::string> module_names_of(const std::string& text);
/// "0-3,7"
std::vector<std::int64_t> layers_of(const std::string& text);
/// "q_proj=8,down_proj=2": a key is what stands before the last =.
std::vector<std::pair<std::string, std::int64_t>> ranks_of(const std::string& text);
std::vector<std::pair<std::string, double>> alphas_of(const std::string& text);
/// "5,17,<think>": ids, and texts that are one token, which without a tokenizer (null) and for any other text is an
/// InputError.
std::vector<TokenId> tokens_of(const std::string& text, const Tokenizer* tokenizer);

}  // namespace loragrad

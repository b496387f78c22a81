#pragma once
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer_parts.h"
#include "io/json.h"

namespace loragrad {

/// Refuses every member of `object` that is not in `keys`: nothing in a tokenizer file is ignored unawares.
void expect_only_keys(const JsonRef& object, std::initializer_list<std::string_view> keys);
/// A boolean member, or `absent` when it is missing or null.
bool boolean_or(const JsonRef& object, std::string_view key, bool absent);

/// The components of tokenizer.json, sequences flattened into steps.
std::vector<Normalizer> read_normalizer(const JsonRef& json);
std::vector<PreTokenizer> read_pre_tokenizer(const JsonRef& json);
std::vector<DecodeStep> read_decoder(const JsonRef& json);
/// Sets parts.before and parts.after; the vocabulary must be there.
void read_post_processor(const JsonRef& json, TokenizerParts& parts);
Bpe read_model(const JsonRef& json);

/// Adds "token": id members. InputError for an id that is taken or out of range.
void read_vocabulary(const JsonRef& json, Vocabulary& vocabulary);
/// The ids of the two tokens and of what they merge to. `place` is "FILE: KEY" or "FILE:LINE".
void add_merge(Bpe& model, std::string_view left, std::string_view right, std::uint32_t rank, const std::string& place);

/// Gives `parts` its tokens, of which `own` are those that tokenizer.json adds, with the ids it gives them.
using TokenGiver = std::function<void(TokenizerParts& parts, const std::vector<AddedToken>& own, const JsonRef& root)>;
/// Reads tokenizer.json; what it puts around a text is read after `give`.
TokenizerParts read_tokenizer_json(const std::string& path, const TokenGiver& give);
/// Model and decoder from a folder's vocab.json and merges.txt, as GPT-2 and its kin have them.
TokenizerParts read_vocab_and_merges(const std::string& folder);

}  // namespace loragrad

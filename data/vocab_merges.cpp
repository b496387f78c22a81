// vocab.json + merges.txt, as GPT-2 and OPT have them, with the special tokens of tokenizer_config.json.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "data/tokenizer_read.h"
#include "data/unicode.h"
#include "engine/error.h"
#include "io/file_content.h"
#include "io/mapped_file.h"

namespace loragrad {
namespace {

void read_merges_file(const std::string& path, Bpe& model) {
  std::string text = read_file(path);
  refuse_other_content(path, text, Content::text);
  if (std::size_t at = invalid_utf8(text); at != std::string::npos)
    throw InputError(fmt::format("{}: byte {}: expected UTF-8", path, at + 1));
  model.merges = MergeTable(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1);
  std::uint32_t rank = 0;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    std::string place = fmt::format("{}:{}", path, number);
    std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      throw InputError(fmt::format("{}: expected two tokens with a space between, found \"{}\"", place, escaped(line)));
    add_merge(model, line.substr(0, space), line.substr(space + 1), rank++, place);
  }
}

// A special token is written as its text, or as an object with the text and how it is matched.
AddedToken read_special(const JsonRef& json) {
  AddedToken token;
  token.special = true;
  if (!json.is_object()) {
    token.content = json.string();
  } else {
    token.content = json.at("content").string();
    token.special = boolean_or(json, "special", true);
    token.single_word = boolean_or(json, "single_word", false);
    token.lstrip = boolean_or(json, "lstrip", false);
    token.rstrip = boolean_or(json, "rstrip", false);
    token.normalized = boolean_or(json, "normalized", false);
  }
  if (token.content.empty()) json.fail("a token that is not empty");
  return token;
}

// Members of tokenizer_config.json that say nothing about ids are left to who needs them.
void read_config(const JsonRef& config, TokenizerParts& parts) {
  if (auto type = config.find("tokenizer_class");
      type && type->string() != "GPT2Tokenizer" && type->string() != "GPT2TokenizerFast")
    type->fail("GPT2Tokenizer, or a tokenizer.json next to it");
  std::vector<AddedToken> tokens;
  if (auto decoder = config.find("added_tokens_decoder")) {
    for (const auto& [key, value] : decoder->members()) {
      AddedToken token = read_special(value);
      auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
      if (error != std::errc() || end != key.data() + key.size() || token.id < 0 || token.id > Vocabulary::max_id)
        value.fail(fmt::format("a key that is an id in [0, {}]", Vocabulary::max_id));
      add_token(parts, tokens, std::move(token), value);
    }
  }
  auto add_special = [&](const JsonRef& json) {
    AddedToken token = read_special(json);
    if (auto id = parts.added_vocabulary.find(token.content)) return *id;
    auto id = parts.model.vocabulary.find(token.content);
    if (!id) json.fail("a token of vocab.json");
    token.id = *id;
    add_token(parts, tokens, std::move(token), json);
    return *id;
  };
  for (std::string_view key :
       {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"})
    if (auto token = config.find(key)) add_special(*token);
  if (auto more = config.find("additional_special_tokens"))
    for (const JsonRef& token : more->elements()) add_special(token);
  if (boolean_or(config, "add_bos_token", false)) parts.before.push_back(add_special(config.at("bos_token")));
  if (boolean_or(config, "add_eos_token", false)) parts.after.push_back(add_special(config.at("eos_token")));
  parts.pre_tokenizer.front().add_prefix_space = boolean_or(config, "add_prefix_space", false);
  parts.added = AddedTokens(std::move(tokens), parts.normalizer);
}

}  // namespace

TokenizerParts read_vocab_and_merges(const std::string& folder) {
  std::filesystem::path base(folder);
  TokenizerParts parts;
  parts.source = (base / "vocab.json").string();
  Json vocabulary = read_json_file(parts.source);
  read_vocabulary(JsonRef(vocabulary, parts.source), parts.model.vocabulary);
  read_merges_file((base / "merges.txt").string(), parts.model);
  parts.pre_tokenizer.emplace_back().pattern = gpt2_pattern();
  parts.decoder.emplace_back();
  std::string config_path = (base / "tokenizer_config.json").string();
  if (std::filesystem::exists(config_path)) {
    Json config = read_json_file(config_path);
    read_config(JsonRef(config, config_path), parts);
  }
  return parts;
}

}  // namespace loragrad

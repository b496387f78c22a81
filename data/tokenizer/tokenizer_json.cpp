#include "data/tokenizer/token_adder.h"
#include "data/tokenizer/tokenizer_read.h"

namespace loragrad {
namespace {

// With the ids that the file gives them, which must not contradict the vocabulary.
std::vector<AddedToken> read_added_tokens(const JsonRef& json, const Vocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  Vocabulary seen;
  for (const JsonRef& item : json.elements()) {
    expect_only_keys(item, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken token;
    token.id = static_cast<TokenId>(item.at("id").integer(0, Vocabulary::max_id));
    token.content = item.at("content").string();
    if (token.content.empty()) item.at("content").fail("a token that is not empty");
    token.special = boolean_or(item, "special", false);
    token.single_word = boolean_or(item, "single_word", false);
    token.lstrip = boolean_or(item, "lstrip", false);
    token.rstrip = boolean_or(item, "rstrip", false);
    token.normalized = boolean_or(item, "normalized", !token.special);
    if (auto id = vocabulary.find(token.content); id && *id != token.id)
      item.fail("id " + std::to_string(*id) + " for \"" + escaped(token.content) + "\", as in the vocabulary");
    if (const std::string* other = vocabulary.token(token.id); other && *other != token.content)
      item.fail("an id that is not \"" + escaped(*other) + "\"'s");
    if (!seen.add(token.content, token.id)) item.fail("a token and an id that are not added twice");
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

TokenizerParts read_tokenizer_json(const std::string& path) {
  return read_tokenizer_json(path, [](TokenizerParts& parts, const std::vector<AddedToken>& own, const JsonRef&) {
    TokenAdder adder(parts.model.vocabulary);
    adder.add(own);
    adder.finish(parts, false);
  });
}

TokenizerParts read_tokenizer_json(const std::string& path, const TokenGiver& give) {
  Json json = read_json_file(path);
  JsonRef root(json, path);
  // Truncation and padding are how the file's author called it last, not how a text is read.
  expect_only_keys(root, {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                          "post_processor", "decoder", "model"});
  if (auto version = root.find("version"); version && version->string() != "1.0") version->fail("\"1.0\"");
  TokenizerParts parts;
  parts.source = path;
  parts.files = {path};
  if (auto normalizer = root.find("normalizer")) parts.normalizer = read_normalizer(*normalizer);
  if (auto pre_tokenizer = root.find("pre_tokenizer")) parts.pre_tokenizer = read_pre_tokenizer(*pre_tokenizer);
  parts.model = read_model(root.at("model"));
  std::vector<AddedToken> own;
  if (auto added = root.find("added_tokens")) own = read_added_tokens(*added, parts.model.vocabulary);
  give(parts, own, root);
  for (const AddedToken& token : own) {
    auto id = parts.added_vocabulary.find(token.content);
    if (!id || *id == token.id) continue;
    parts.warnings.push_back(path + ": added_tokens: \"" + escaped(token.content) + "\" is said to be " +
                             std::to_string(token.id) + " and is " + std::to_string(*id) +
                             ", as tokenizers and transformers read it");
    break;
  }
  if (auto post_processor = root.find("post_processor")) read_post_processor(*post_processor, parts);
  if (auto decoder = root.find("decoder")) parts.decoder = read_decoder(*decoder);
  return parts;
}

}  // namespace loragrad

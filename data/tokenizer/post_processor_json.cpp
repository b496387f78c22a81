// Post-processors of tokenizer.json: what they put around one text.
#include "data/tokenizer/tokenizer_read.h"

namespace loragrad {
namespace {

TokenId read_id(const JsonRef& json, const TokenizerParts& parts) {
  auto id = static_cast<TokenId>(json.integer(0, Vocabulary::max_id));
  if (!parts.token(id)) json.fail("the id of a token");
  return id;
}

void expect_token(const JsonRef& json, TokenId id, const TokenizerParts& parts) {
  if (json.string() != *parts.token(id))
    json.fail("token " + std::to_string(id) + ", \"" + escaped(*parts.token(id)) + "\"");
}

// Ids of the special token that a template names.
std::vector<TokenId> special_ids(const JsonRef& name, const JsonRef& specials, const TokenizerParts& parts) {
  auto special = specials.find(name.string());
  if (!special) name.fail("a member of special_tokens");
  expect_only_keys(*special, {"id", "ids", "tokens"});
  JsonRef ids = special->at("ids"), tokens = special->at("tokens");
  if (tokens.size() != ids.size()) tokens.fail("as many tokens as ids");
  std::vector<TokenId> result;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    result.push_back(read_id(ids[i], parts));
    expect_token(tokens[i], result.back(), parts);
  }
  return result;
}

void read_template(const JsonRef& json, TokenizerParts& parts) {
  expect_only_keys(json, {"type", "single", "pair", "special_tokens"});
  std::vector<TokenId> before, after;
  bool seen = false;
  JsonRef single = json.at("single"), specials = json.at("special_tokens");
  for (const JsonRef& piece : single.elements()) {
    expect_only_keys(piece, {"SpecialToken", "Sequence"});
    if (auto special = piece.find("SpecialToken")) {
      for (TokenId id : special_ids(special->at("id"), specials, parts)) (seen ? after : before).push_back(id);
      continue;
    }
    JsonRef name = piece.at("Sequence").at("id");
    if (seen || name.string() != "A") name.fail("the sequence \"A\", once");
    seen = true;
  }
  if (!seen) single.fail("a template with the sequence \"A\"");
  // In a Sequence of post-processors each one wraps what the one before has made.
  parts.before.insert(parts.before.begin(), before.begin(), before.end());
  parts.after.insert(parts.after.end(), after.begin(), after.end());
}

// A ["token", id] member of RobertaProcessing and BertProcessing.
TokenId read_pair(const JsonRef& json, const TokenizerParts& parts) {
  if (json.size() != 2) json.fail("a list of a token and its id");
  TokenId id = read_id(json[1], parts);
  expect_token(json[0], id, parts);
  return id;
}

}  // namespace

void read_post_processor(const JsonRef& json, TokenizerParts& parts) {
  const std::string& type = json.at("type").string();
  if (type == "Sequence") {
    expect_only_keys(json, {"type", "processors"});
    for (const JsonRef& member : json.at("processors").elements()) read_post_processor(member, parts);
  } else if (type == "ByteLevel") {
    // Only moves offsets into the text.
    expect_only_keys(json, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else if (type == "TemplateProcessing") {
    read_template(json, parts);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    expect_only_keys(json, {"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
    parts.before.insert(parts.before.begin(), read_pair(json.at("cls"), parts));
    parts.after.push_back(read_pair(json.at("sep"), parts));
  } else {
    json.at("type").fail(
        "a supported post-processor (Sequence, ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing)");
  }
}

}  // namespace loragrad

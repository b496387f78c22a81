// The BPE model of tokenizer.json. Its long lists are walked as plain values: a JsonRef for each of 500,000 merges
// would cost more than the merges.
#include <fmt/format.h>

#include "data/tokenizer/tokenizer_read.h"
#include "engine/error.h"

namespace loragrad {

void read_vocabulary(const JsonRef& json, Vocabulary& vocabulary) {
  const auto* members = std::get_if<Json::Object>(&json.json().value());
  if (!members) json.fail("an object of token: id");
  for (const auto& [token, value] : *members) {
    const auto* id = std::get_if<std::int64_t>(&value.value());
    bool in_range = id && *id >= 0 && *id <= Vocabulary::max_id;
    if (in_range && vocabulary.add(token, static_cast<TokenId>(*id))) continue;
    json.at(token).fail(in_range ? std::string("an id that no other token has")
                                 : fmt::format("an integer in [0, {}]", Vocabulary::max_id));
  }
}

void add_merge(Bpe& model, std::string_view left, std::string_view right, std::uint32_t rank,
               const std::string& place) {
  auto id_of = [&](std::string_view token) {
    if (auto id = model.vocabulary.find(token)) return *id;
    throw InputError(fmt::format("{}: expected tokens of the vocabulary, found \"{}\"", place, escaped(token)));
  };
  TokenId left_id = id_of(left), right_id = id_of(right);
  // The prefix marks a token inside a word; merged to the right of another it goes.
  std::string_view tail = right;
  if (!model.prefix.empty()) tail.remove_prefix(std::min(model.prefix.size(), tail.size()));
  model.merges.add(left_id, right_id, {id_of(std::string(left) + std::string(tail)), rank});
}

namespace {

void read_merges(const JsonRef& json, Bpe& model) {
  const auto* items = std::get_if<Json::Array>(&json.json().value());
  if (!items) json.fail("a list of merges");
  model.merges = MergeTable(items->size());
  for (std::size_t i = 0; i < items->size(); ++i) {
    std::string_view left, right;
    const Json::Variant& item = (*items)[i].value();
    if (const auto* text = std::get_if<std::string>(&item)) {
      std::size_t space = text->find(' ');
      if (space == std::string::npos || text->find(' ', space + 1) != std::string::npos)
        json[i].fail("two tokens with a space between");
      left = std::string_view(*text).substr(0, space);
      right = std::string_view(*text).substr(space + 1);
    } else if (const auto* pair = std::get_if<Json::Array>(&item); pair && pair->size() == 2) {
      left = json[i][0].string();
      right = json[i][1].string();
    } else {
      json[i].fail("a merge: \"a b\" or [\"a\", \"b\"]");
    }
    add_merge(model, left, right, static_cast<std::uint32_t>(i),
              fmt::format("{}: {}[{}]", json.where(), json.path(), i));
  }
}

// It goes to each character of a text: a long one, in bytes, would be more than a text may grow (GrowthLimit).
std::string read_affix(const JsonRef& json) {
  if (json.string().size() > 100) json.fail("at most 100 bytes");
  return json.string();
}

}  // namespace

Bpe read_model(const JsonRef& json) {
  // Files from before there were other models have no type.
  if (auto type = json.find("type"); type && type->string() != "BPE") type->fail("a supported model (BPE)");
  expect_only_keys(json, {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                          "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (auto dropout = json.find("dropout"); dropout && dropout->number(0, 1) != 0)
    dropout->fail("null: merges are never dropped");
  Bpe model;
  if (auto prefix = json.find("continuing_subword_prefix")) model.prefix = read_affix(*prefix);
  if (auto suffix = json.find("end_of_word_suffix")) model.suffix = read_affix(*suffix);
  model.fuse_unknown = boolean_or(json, "fuse_unk", false);
  model.ignore_merges = boolean_or(json, "ignore_merges", false);
  read_vocabulary(json.at("vocab"), model.vocabulary);
  read_merges(json.at("merges"), model);
  if (auto unknown = json.find("unk_token")) {
    model.unknown = model.vocabulary.find(unknown->string());
    if (!model.unknown) unknown->fail("a token of the vocabulary");
  }
  if (boolean_or(json, "byte_fallback", false)) {
    for (int byte = 0; byte < 256; ++byte)
      model.byte_tokens.push_back(model.vocabulary.find(fmt::format("<0x{:02X}>", byte)).value_or(-1));
  }
  return model;
}

}  // namespace loragrad

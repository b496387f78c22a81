// A folder's tokenizer: which files and which class decide what.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "data/tokenizer/special_tokens.h"
#include "data/tokenizer/tokenizer_read.h"
#include "engine/error.h"
#include "io/mapped_file.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

/// Which class transformers takes, and what says so.
struct Choice {
  const TokenizerClass* type;
  std::string said_by;  ///< "FILE: KEY"; empty where nothing names a class
  std::string name;     ///< the value there
};

std::optional<std::string> string_member(const fs::path& file, std::string_view key) {
  if (!is_there(file)) return std::nullopt;
  Json json = read_json_file(file.string());
  auto value = JsonRef(json, file.string()).find(key);
  return value ? std::optional(value->string()) : std::nullopt;
}

Choice choose(const fs::path& folder, const fs::path& config) {
  fs::path own = folder / "tokenizer_config.json", file = folder / "tokenizer.json";
  std::optional<std::string> declared = string_member(own, "tokenizer_class");
  std::optional<std::string> model_type = string_member(config, "model_type");
  Choice choice;
  if (declared)
    choice.said_by = own.string() + ": tokenizer_class";
  else if ((declared = string_member(config, "tokenizer_class")))
    choice.said_by = config.string() + ": tokenizer_class";
  choice.name = declared.value_or("");
  bool byte_level = is_there(file) && read_file(file.string()).find("\"ByteLevel\"") != std::string::npos;
  // Bare vocab.json and merges.txt are GPT-2's.
  if (!declared && !model_type && !is_there(file)) declared = "GPT2Tokenizer";
  choice.type = &tokenizer_class(declared, model_type, byte_level);
  if (model_type && (!declared || choice.type != &tokenizer_class(declared, std::nullopt, byte_level))) {
    choice.said_by = config.string() + ": model_type";
    choice.name = *model_type;
  }
  return choice;
}

/// A component without what ids do not depend on, for comparison.
Json outline(const Json& json) {
  if (const auto* list = std::get_if<Json::Array>(&json.value())) {
    Json::Array out;
    for (const Json& item : *list) out.push_back(outline(item));
    return out;
  }
  const auto* object = std::get_if<Json::Object>(&json.value());
  if (!object) return json;
  for (const char* members : {"normalizers", "pretokenizers"})
    if (const Json* list = json.find(members))
      if (const auto* items = std::get_if<Json::Array>(&list->value()); items && items->size() == 1)
        return outline(items->front());
  Json::Object out;
  for (const auto& [key, value] : *object) {
    bool regex = key == "use_regex" && value.dump() == "true",
         not_inverted = key == "invert" && value.dump() == "false";
    if (key != "trim_offsets" && key != "add_prefix_space" && !regex && !not_inverted)
      out.emplace_back(key, outline(value));
  }
  return out;
}

/// What transformers' class would do otherwise than tokenizer.json, which is followed.
void compare(const JsonRef& root, const TokenizerClass& type, const SpecialTokens& specials, TokenizerParts& parts) {
  auto differ = [&](const std::string& what) {
    parts.warnings.push_back(
        fmt::format("{}: {} is followed, where transformers' {} would not", root.where(), what, type.name));
  };
  auto check = [&](const char* key, std::string_view built) {
    auto value = root.find(key);
    Json file = value ? outline(value->json()) : Json();
    if (file.dump(-1, true) != outline(parse_json(built, key)).dump(-1, true)) differ(key);
  };
  check("normalizer", type.normalizer);
  check("pre_tokenizer", type.pre_tokenizer);
  if (type.takes_prefix_space && !specials.add_prefix_space)
    for (const PreTokenizer& step : parts.pre_tokenizer)
      if (step.kind == PreTokenizer::Kind::byte_level && step.add_prefix_space)
        differ("pre_tokenizer.add_prefix_space");
}

void give_tokens(const std::string& folder, const TokenizerClass& type, const SpecialTokens& specials,
                 const std::vector<AddedToken>& own, TokenizerParts& parts) {
  TokenAdder adder(parts.model.vocabulary);
  if (!type.builds) adder.add(own);
  specials.add_to(adder, type);
  adder.finish(parts, specials.split_special_tokens);
  if (type.takes_prefix_space && specials.add_prefix_space)
    for (PreTokenizer& step : parts.pre_tokenizer)
      if (step.kind == PreTokenizer::Kind::byte_level) step.add_prefix_space = *specials.add_prefix_space;
  if (auto end = specials.named("eos_token")) parts.end_token = parts.find(*end);
  for (const auto& [name, token] : specials.names) parts.named_tokens.emplace_back(name, token.token.content);
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}) {
    std::string file = (fs::path(folder) / name).string();
    if (is_there(file)) parts.files.push_back(file);
  }
  for (const auto& [id, token] : specials.decoder) {
    const std::string& content = token.token.content;
    // Those of tokenizer.json are told where it is read.
    bool here =
        specials.has_decoder || std::none_of(own.begin(), own.end(), [&](auto& t) { return t.content == content; });
    TokenId given = here && !content.empty() ? adder.id_of(content) : id;
    if (given == id) continue;
    const char* place = specials.has_decoder ? "tokenizer_config.json: added_tokens_decoder" : "added_tokens.json";
    parts.warnings.push_back(fmt::format("{}/{}: \"{}\" is said to be {} and is {}, as transformers reads it", folder,
                                         place, escaped(content), id, given));
    break;
  }
}

TokenizerParts read_json_folder(const std::string& folder, const TokenizerClass& type) {
  std::string file = (fs::path(folder) / "tokenizer.json").string();
  TokenizerParts parts =
      read_tokenizer_json(file, [&](TokenizerParts& read, const std::vector<AddedToken>& own, const JsonRef& root) {
        auto padding = root.find("padding");
        // A class that builds its own tokenizer has settled its padding before it sees this.
        auto pad = padding && !type.builds ? padding->find("pad_token") : std::nullopt;
        SpecialTokens specials =
            SpecialTokens::read(folder, type, own, pad ? std::optional(pad->string()) : std::nullopt);
        give_tokens(folder, type, specials, own, read);
        if (!type.builds) return;
        compare(root, type, specials, read);
        for (const AddedToken& token : own) {
          if (read.added_vocabulary.find(token.content)) continue;
          read.warnings.push_back(
              fmt::format("{}: added_tokens: \"{}\" is not among tokenizer_config.json's added_tokens_decoder, so "
                          "transformers' {} does not look for it, and neither do we",
                          file, escaped(token.content), type.name));
          break;
        }
      });
  if (type.drops_post_processor && !(parts.before.empty() && parts.after.empty()))
    parts.warnings.push_back(
        fmt::format("{}: post_processor is followed, where transformers' {} would not", file, type.name));
  return parts;
}

TokenizerParts read_merges_folder(const std::string& folder, const Choice& choice) {
  const TokenizerClass& type = *choice.type;
  TokenizerParts parts = read_vocab_and_merges(folder);
  Json normalizer = parse_json(type.normalizer, "normalizer"), words = parse_json(type.pre_tokenizer, "pre_tokenizer");
  if (JsonRef ref(normalizer, "normalizer"); !ref.is_null()) parts.normalizer = read_normalizer(ref);
  parts.pre_tokenizer = read_pre_tokenizer(JsonRef(words, "pre_tokenizer"));
  SpecialTokens specials = SpecialTokens::read(folder, type, {}, std::nullopt);
  give_tokens(folder, type, specials, {}, parts);
  // With a tokenizer.json its post_processor decides instead.
  auto put_around = [&](bool wanted, const char* name, std::vector<TokenId>& around) {
    auto token = specials.named(name);
    if (wanted && token && !token->empty()) around.push_back(parts.find(*token).value());
  };
  put_around(specials.add_bos_token, "bos_token", parts.before);
  put_around(specials.add_eos_token, "eos_token", parts.after);
  return parts;
}

}  // namespace

TokenizerParts read_tokenizer_folder(const std::string& folder, const std::optional<std::string>& config) {
  Choice choice = choose(folder, config ? fs::path(*config) : fs::path(folder) / "config.json");
  if (is_there(fs::path(folder) / "tokenizer.json")) return read_json_folder(folder, *choice.type);
  if (!choice.type->reads_merges)
    throw InputError(
        fmt::format("{}: expected a tokenizer class that reads vocab.json and merges.txt ({}) or one of "
                    "their model types, or a tokenizer.json, found \"{}\"",
                    choice.said_by, classes_that_read_merges(), escaped(choice.name)));
  return read_merges_folder(folder, choice);
}

}  // namespace loragrad

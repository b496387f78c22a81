// tokenizer_config.json, special_tokens_map.json and added_tokens.json, in the order and with the precedence that
// transformers 5 gives them when it makes the arguments of a tokenizer's class of them.
#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "data/tokenizer/special_tokens.h"
#include "data/tokenizer/tokenizer_read.h"
#include "io/mapped_file.h"

namespace loragrad {
namespace {

constexpr std::array<std::string_view, 7> standard_names{"bos_token", "eos_token", "unk_token", "sep_token",
                                                         "pad_token", "cls_token", "mask_token"};

bool is_standard(std::string_view key) {
  return std::find(standard_names.begin(), standard_names.end(), key) != standard_names.end();
}

template <class Value>
void put(std::vector<std::pair<std::string, Value>>& list, const std::string& key, Value value) {
  for (auto& [name, old] : list) {
    if (name != key) continue;
    old = std::move(value);
    return;
  }
  list.emplace_back(key, std::move(value));
}

enum class Place { config, map, decoder };

NamedToken read_token(const JsonRef& json, Place place) {
  NamedToken named;
  AddedToken& token = named.token;
  if (json.is_string()) {
    token.content = json.string();
    return named;
  }
  if (!json.is_object()) json.fail("a token: its text, or an object with content");
  named.text = false;
  named.bare_object = place == Place::config;
  token.content = json.at("content").string();
  token.special = place == Place::map || boolean_or(json, "special", false);
  token.single_word = boolean_or(json, "single_word", false);
  token.lstrip = boolean_or(json, "lstrip", false);
  token.rstrip = boolean_or(json, "rstrip", false);
  named.says_normalized = json.find("normalized").has_value();
  token.normalized = boolean_or(json, "normalized", false);
  return named;
}

/// What transformers calls the arguments of the tokenizer's class, as far as tokens depend on them.
class Arguments {
 public:
  void read_config(const JsonRef& config);
  void read_map(const JsonRef& map);
  /// Whether a token of added_tokens.json is one of those named so far.
  bool names(const std::string& content) const;
  void finish(SpecialTokens& out, const TokenizerClass& type, const std::optional<std::string>& pad) const;

 private:
  using List = std::vector<NamedToken>;
  using Names = std::vector<std::pair<std::string, NamedToken>>;

  static List read_list(const JsonRef& json, Place place);
  static Names read_names(const JsonRef& json, Place place);
  void add_own(const Names& names) {
    for (const auto& [key, token] : names) put(own_, key, token);
  }

  std::vector<std::pair<std::string, std::optional<NamedToken>>> given_;  // nullopt: null, which is none
  std::optional<List> extra_;                                             // absent and empty differ
  std::optional<JsonRef> additional_;  // read where it counts: beside extra_special_tokens it may be anything
  Names own_;
};

// An object in such a list means a special token; transformers reads objects only where "__type" marks them.
Arguments::List Arguments::read_list(const JsonRef& json, Place place) {
  List list;
  if (json.is_null()) return list;
  for (const JsonRef& item : json.elements()) {
    NamedToken token = read_token(item, place);
    if (item.is_object() && !item.find("special") && !item.find("__type")) token.token.special = true;
    list.push_back(std::move(token));
  }
  return list;
}

Arguments::Names Arguments::read_names(const JsonRef& json, Place place) {
  Names names;
  for (const auto& [key, value] : json.members()) put(names, key, read_token(value, place));
  return names;
}

void Arguments::read_config(const JsonRef& config) {
  std::optional<Names> map;
  Names saved;
  for (const auto& [key, value] : config.members()) {
    if (key == "additional_special_tokens") {
      additional_ = value;
    } else if (key == "extra_special_tokens") {
      if (value.is_object())
        map = read_names(value, Place::config);
      else
        extra_ = read_list(value, Place::config);
    } else if (key == "model_specific_special_tokens") {
      if (!value.is_null()) saved = read_names(value, Place::config);
    } else if (is_standard(key)) {
      put(given_, key, value.is_null() ? std::nullopt : std::optional(read_token(value, Place::config)));
    } else if (key.ends_with("_token")) {
      if (value.is_string())
        put(own_, key, read_token(value, Place::config));
      else if (value.is_object() && value.find("__type"))
        put(given_, key, std::optional(read_token(value, Place::config)));
    }
  }
  if (additional_ && (!extra_ || extra_->empty()) && (!map || map->empty())) {
    extra_.reset();
    if (additional_->is_object())
      map = read_names(*additional_, Place::config);
    else
      extra_ = read_list(*additional_, Place::config);
    additional_.reset();
  }
  if (map) add_own(*map);
  if (own_.empty()) own_ = saved;
}

void Arguments::read_map(const JsonRef& map) {
  for (const auto& [key, value] : map.members()) {
    if (key == "additional_special_tokens") {
      additional_ = value;
    } else if (key == "extra_special_tokens" && value.is_object()) {
      extra_.reset();
      add_own(read_names(value, Place::map));
    } else if (key == "extra_special_tokens") {
      List merged = extra_.value_or(List{});
      for (const NamedToken& token : read_list(value, Place::map))
        if (std::find(merged.begin(), merged.end(), token) == merged.end()) merged.push_back(token);
      extra_ = std::move(merged);
    } else if (key.ends_with("_token")) {
      if (!value.is_null())
        put(given_, key, std::optional(read_token(value, Place::map)));
      else if (is_standard(key))
        put(given_, key, std::optional<NamedToken>());
    }
  }
}

bool Arguments::names(const std::string& content) const {
  auto is = [&](const NamedToken& token) { return !token.bare_object && token.token.content == content; };
  for (const auto& [key, token] : given_)
    if (is_standard(key) && token && is(*token)) return true;
  return extra_ && std::any_of(extra_->begin(), extra_->end(), is);
}

void Arguments::finish(SpecialTokens& out, const TokenizerClass& type, const std::optional<std::string>& pad) const {
  std::vector<std::pair<std::string, std::optional<NamedToken>>> tokens;
  auto put_text = [&](std::string_view key, std::string_view content) {
    NamedToken token;
    token.token.content = content;
    put(tokens, std::string(key), std::optional(std::move(token)));
  };
  for (const auto& [key, content] : type.special_tokens) put_text(key, content);
  if (pad) put_text("pad_token", *pad);
  for (const auto& [key, token] : given_) put(tokens, key, token);
  for (std::string_view name : standard_names)
    for (const auto& [key, token] : tokens)
      if (key == name && token) out.names.emplace_back(key, *token);
  bool additional_counts = additional_ && !extra_;
  if (additional_counts && additional_->is_object())
    for (const auto& [key, token] : read_names(*additional_, Place::config)) put(out.names, key, token);
  for (const auto& [key, token] : tokens)
    if (!is_standard(key) && token) put(out.names, key, *token);
  for (const auto& [key, token] : own_) put(out.names, key, token);
  if (extra_)
    out.extra = *extra_;
  else if (additional_counts && !additional_->is_object())
    out.extra = read_list(*additional_, Place::config);
}

std::optional<Json> read_if_there(const std::filesystem::path& path) {
  if (!is_there(path)) return std::nullopt;
  return read_json_file(path.string());
}

TokenId read_id_key(const std::string& key, const JsonRef& place) {
  TokenId id = -1;
  auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size() || id < 0) place.fail("a key that is an id");
  return id;
}

}  // namespace

SpecialTokens SpecialTokens::read(const std::string& folder, const TokenizerClass& type,
                                  const std::vector<AddedToken>& own, const std::optional<std::string>& pad) {
  std::filesystem::path base(folder);
  SpecialTokens out;
  Arguments arguments;
  auto add = [&](TokenId id, NamedToken token) { out.decoder.insert_or_assign(id, std::move(token)); };
  std::string where = (base / "tokenizer_config.json").string();
  std::optional<Json> config = read_if_there(where);
  if (config) {
    JsonRef root(*config, where);
    arguments.read_config(root);
    out.split_special_tokens = boolean_or(root, "split_special_tokens", false);
    out.add_bos_token = boolean_or(root, "add_bos_token", false);
    out.add_eos_token = boolean_or(root, "add_eos_token", false);
    if (auto prefix = root.find("add_prefix_space")) out.add_prefix_space = prefix->boolean();
    if (auto versions = root.find("fast_tokenizer_files"))
      for (const JsonRef& name : versions->elements())
        if (name.string() != "tokenizer.json") name.fail("tokenizer.json alone: versions of it are not supported");
    if (auto decoder = root.find("added_tokens_decoder")) {
      out.has_decoder = true;
      for (const auto& [key, value] : decoder->members()) {
        if (!value.is_object()) value.fail("an object with content");
        add(read_id_key(key, value), read_token(value, Place::decoder));
      }
    }
  }
  std::optional<Json> map;  // as long as `arguments`
  if (!out.has_decoder) {
    where = (base / "special_tokens_map.json").string();
    if ((map = read_if_there(where))) arguments.read_map(JsonRef(*map, where));
    where = (base / "added_tokens.json").string();
    if (std::optional<Json> tokens = read_if_there(where)) {
      for (const auto& [content, id] : JsonRef(*tokens, where).members()) {
        NamedToken token{.token = {}, .text = false, .says_normalized = true, .bare_object = false};
        token.token.content = content;
        token.token.special = arguments.names(content);
        token.token.normalized = !token.token.special;
        add(static_cast<TokenId>(id.integer(0, Vocabulary::max_id)), std::move(token));
      }
    }
    for (const AddedToken& token : own)
      add(token.id, {.token = token, .text = false, .says_normalized = true, .bare_object = false});
  }
  arguments.finish(out, type, pad);
  return out;
}

}  // namespace loragrad

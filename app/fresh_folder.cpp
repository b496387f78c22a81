#include "app/fresh_folder.h"

#include <filesystem>

#include "data/tokenizer/byte_level.h"
#include "engine/error.h"
#include "io/atomic.h"
#include "io/fnv.h"
#include "io/mapped_file.h"
#include "models/families/family.h"

namespace loragrad {
namespace {

constexpr TokenId end_of_bytes = 256;
constexpr const char* end_text = "<|endoftext|>";

/// The bytes tokenizer in the words of the `tokenizers` library: byte-level BPE without merges.
Json bytes_tokenizer_json() {
  Json::Object vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    char c = static_cast<char>(byte);
    vocabulary.emplace_back(to_byte_level({&c, 1}), byte);
  }
  vocabulary.emplace_back(end_text, end_of_bytes);
  Json::Object byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  Json::Object end{{"id", end_of_bytes}, {"content", end_text}, {"single_word", false}, {"lstrip", false},
                   {"rstrip", false},    {"normalized", false}, {"special", true}};
  Json::Object model{{"type", "BPE"},
                     {"dropout", nullptr},
                     {"unk_token", nullptr},
                     {"continuing_subword_prefix", nullptr},
                     {"end_of_word_suffix", nullptr},
                     {"fuse_unk", false},
                     {"byte_fallback", false},
                     {"ignore_merges", false},
                     {"vocab", vocabulary},
                     {"merges", Json::Array{}}};
  return Json::Object{{"version", "1.0"},
                      {"truncation", nullptr},
                      {"padding", nullptr},
                      {"added_tokens", Json::Array{end}},
                      {"normalizer", nullptr},
                      {"pre_tokenizer", byte_level},
                      {"post_processor", nullptr},
                      {"decoder", byte_level},
                      {"model", model}};
}

}  // namespace

FreshFolder::FreshFolder(const std::string& config_file, Tokenizer tokenizer, std::vector<TokenId> config_ends)
    : tokenizer_(std::move(tokenizer)),
      files_(tokenizer_files(tokenizer_)),
      config_(read_json_file(config_file)),
      end_tokens_(std::move(config_ends)) {
  std::string type = JsonRef(config_, config_file).at("model_type").string();
  if (auto own = tokenizer_.end_token(); own && end_tokens_.empty()) end_tokens_ = {*own};
  config_.set("architectures", Json::Array{family_named(type).architecture});
  // An absent key would mean the family's own tokens to transformers, which another vocabulary has not.
  for (const char* key : {"bos_token_id", "eos_token_id"})
    if (!config_.find(key)) config_.set(key, nullptr);
  if (end_tokens_.empty()) config_.set("eos_token_id", nullptr);  // transformers' generation fails with []
  if (end_tokens_.size() == 1) config_.set("eos_token_id", end_tokens_[0]);
  config_.set("dtype", "float32");
}

std::string FreshFolder::config_hash() const {
  Fnv1a hash;
  hash.add(config_.dump(-1, true));
  return hash.text();
}

void FreshFolder::write(const std::string& folder) const {
  write_file(folder + "/config.json", config_.dump(2) + "\n");
  Json generation{Json::Object{}};
  for (const char* key : {"bos_token_id", "eos_token_id"})
    if (const Json* value = config_.find(key); value && !std::holds_alternative<std::nullptr_t>(value->value()))
      generation.set(key, *value);
  write_file(folder + "/generation_config.json", generation.dump(2) + "\n");
  for (const auto& [name, content] : files_) write_file(folder + "/" + name, content);
}

FreshFolder::Files FreshFolder::tokenizer_files(const Tokenizer& tokenizer) {
  namespace fs = std::filesystem;
  const std::vector<std::string>& paths = tokenizer.files();
  Files files;
  bool alone = paths.size() == 1;
  if (!paths.empty() && !alone) {
    for (const std::string& path : paths) files.emplace_back(fs::path(path).filename().string(), read_file(path));
    return files;
  }
  files.emplace_back("tokenizer.json", alone ? read_file(paths[0]) : bytes_tokenizer_json().dump(2) + "\n");
  // Without a class of its own it would get the tokens of the model's.
  Json::Object settings{{"tokenizer_class", "PreTrainedTokenizerFast"}};
  if (!alone) settings.emplace_back("eos_token", end_text);
  settings.emplace_back("clean_up_tokenization_spaces", false);
  files.emplace_back("tokenizer_config.json", Json(settings).dump(2) + "\n");
  return files;
}

}  // namespace loragrad

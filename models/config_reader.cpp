#include "models/config_reader.h"

#include <limits>

#include "engine/error.h"
#include "io/mapped_file.h"

namespace loragrad {

std::optional<JsonRef> ConfigReader::find(const char* key) {
  keys_.insert(key);
  if (!root_.json().find(key)) return std::nullopt;
  return root_.at(key);
}

std::int64_t ConfigReader::size(const char* key, std::int64_t fallback) {
  auto value = find(key);
  return value ? value->integer(1, std::numeric_limits<std::int32_t>::max()) : fallback;
}

std::int64_t ConfigReader::size_or_null(const char* key, std::int64_t fallback) {
  auto value = find(key);
  return value && !value->is_null() ? size(key, fallback) : fallback;
}

std::int64_t ConfigReader::size_or_zero(const char* key, std::int64_t fallback) {
  auto value = find(key);
  return value && value->is_null() ? 0 : size(key, fallback);
}

std::int64_t ConfigReader::count(const char* key, std::int64_t fallback) {
  auto value = find(key);
  return value ? value->integer(0, std::numeric_limits<std::int32_t>::max()) : fallback;
}

double ConfigReader::positive(const char* key, double fallback) {
  auto value = find(key);
  return value ? value->number(std::numeric_limits<double>::min(), 1e30) : fallback;
}

bool ConfigReader::flag(const char* key, bool fallback) {
  auto value = find(key);
  return value ? value->boolean() : fallback;
}

Activation ConfigReader::activation(const char* key, const char* fallback) {
  auto value = find(key);
  auto activation = activation_named(value ? value->string() : fallback);
  if (!activation) value->fail("one of relu, gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, silu, swish");
  return *activation;
}

void ConfigReader::require(const char* key, bool wanted) {
  auto value = find(key);
  if (value && !(value->is_boolean() && value->boolean() == wanted))
    value->fail(wanted ? "true (nothing else is supported)" : "false (nothing else is supported)");
}

void ConfigReader::require_or_null(const char* key, bool wanted) {
  if (auto value = find(key); value && !value->is_null()) require(key, wanted);
}

void ConfigReader::refuse(const char* key) {
  auto value = find(key);
  if (value && !value->is_null()) value->fail("null or no such key (nothing else is supported)");
}

void ConfigReader::require_divisor(const char* key, std::int64_t heads, std::int64_t width) const {
  if (width % heads) fail(key, heads, "a divisor of the model's width, " + std::to_string(width));
}

void ConfigReader::fail(const char* key, std::int64_t found, const std::string& expected) const {
  std::string path = root_.path();
  throw InputError(root_.where() + ": " + (path.empty() ? "" : path + ".") + key + ": expected " + expected +
                   ", found " + std::to_string(found));
}

namespace {

/// Reads what `root` says, unless something has said it before: a value that is not used is not looked at.
void read_special_ids(ModelConfig& config, const JsonRef& root) {
  if (auto eos = root.find("eos_token_id"); eos && config.eos_token_ids.empty()) {
    for (const JsonRef& id : eos->one_or_more()) {
      const auto* value = std::get_if<std::int64_t>(&id.json().value());
      if (!value || *value < 0 || *value >= config.vocab_size)
        id.fail("an id below vocab_size (" + std::to_string(config.vocab_size) + ")");
      config.eos_token_ids.push_back(static_cast<std::int32_t>(*value));
    }
  }
  // Only an empty prompt needs it, and says so where there is none.
  if (auto bos = root.find("bos_token_id"); bos && !config.bos_token_id) {
    const auto* value = std::get_if<std::int64_t>(&bos->json().value());
    if (value && *value >= 0 && *value < config.vocab_size) config.bos_token_id = static_cast<std::int32_t>(*value);
  }
}

}  // namespace

void read_common_keys(ConfigReader& read, ModelConfig& c) {
  read.require("is_causal", true);
  for (const char* key : {"quantization_config", "per_layer_config", "configuration_files"}) read.refuse(key);
  for (const char* key : {"sliding_window", "attention_chunk_size"}) {
    if (read.keys().contains(key)) continue;  // the family's own
    if (auto value = read.find(key); value && !value->is_null())
      c.warnings.push_back(value->where() + ": " + key +
                           ": has no effect on this family: attention reaches all tokens");
  }
}

void finish_config(ModelConfig& c, const JsonRef& root, const std::string& folder) {
  ConfigReader read(root);
  if (c.num_attention_heads % c.num_key_value_heads)
    read.fail("num_key_value_heads", c.num_key_value_heads,
              "a divisor of num_attention_heads (" + std::to_string(c.num_attention_heads) + ")");
  // A table of more elements than this exceeds any machine this runs on, and products below stay within 63 bits.
  constexpr std::int64_t absurd = std::int64_t{1} << 40;
  if (c.hidden_size > absurd / c.hidden_size)
    read.fail(root.find("n_embd") ? "n_embd" : "hidden_size", c.hidden_size, "a matrix of less than 2^40 elements");
  if (c.vocab_size > absurd / c.hidden_size)
    read.fail("vocab_size", c.vocab_size, "a table of less than 2^40 elements");
  if (c.intermediate_size > absurd / c.hidden_size)
    read.fail("intermediate_size", c.intermediate_size, "a matrix of less than 2^40 elements");
  if (c.num_attention_heads > absurd / c.hidden_size / c.head_dim)
    read.fail("num_attention_heads", c.num_attention_heads, "a matrix of less than 2^40 elements for all heads");
  // The names alone of so many layers' tensors would fill the memory.
  if (c.num_hidden_layers > 10000)
    read.fail(root.find("n_layer") ? "n_layer" : "num_hidden_layers", c.num_hidden_layers, "at most 10000 layers");
  std::string generation = folder + "/generation_config.json";
  if (!folder.empty() && is_there(generation)) {
    Json json = read_json_file(generation);
    read_special_ids(c, JsonRef(json, generation));
  }
  read_special_ids(c, root);
}

}  // namespace loragrad

#include "models/config_reader.h"

#include <sys/stat.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "engine/error.h"

namespace loragrad {

std::int64_t ConfigReader::size(const char* key, std::optional<std::int64_t> fallback) const {
  auto value = root_.find(key);
  if (!value && fallback) return *fallback;
  return (value ? *value : root_.at(key)).integer(1, std::numeric_limits<std::int32_t>::max());
}

double ConfigReader::positive(const char* key, double fallback) const {
  auto value = root_.find(key);
  return value ? value->number(std::numeric_limits<double>::min(), 1e30) : fallback;
}

bool ConfigReader::flag(const char* key, bool fallback) const {
  auto value = root_.find(key);
  return value ? value->boolean() : fallback;
}

Activation ConfigReader::activation(const char* key, const char* fallback) const {
  auto value = root_.find(key);
  auto activation = activation_named(value ? value->string() : fallback);
  if (!activation) value->fail("one of relu, gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, silu, swish");
  return *activation;
}

void ConfigReader::require(const char* key, bool wanted) const {
  auto value = root_.find(key);
  if (value && value->boolean() != wanted)
    value->fail(wanted ? "true (false is not supported)" : "false (true is not supported)");
}

void ConfigReader::require_divisor(const char* key, std::int64_t heads, std::int64_t width) const {
  if (width % heads) fail(key, heads, "a divisor of the model's width, " + std::to_string(width));
}

void ConfigReader::fail(const char* key, std::int64_t found, const std::string& expected) const {
  throw InputError(root_.where() + ": " + key + ": expected " + expected + ", found " + std::to_string(found));
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
  // The names alone of so many layers' tensors would fill the memory.
  if (c.num_hidden_layers > 10000)
    read.fail(root.find("n_layer") ? "n_layer" : "num_hidden_layers", c.num_hidden_layers, "at most 10000 layers");
  std::string generation = folder + "/generation_config.json";
  struct stat info;
  if (!folder.empty() && stat(generation.c_str(), &info) == 0) {
    Json json = read_json_file(generation);
    read_special_ids(c, JsonRef(json, generation));
  }
  read_special_ids(c, root);
}

RopeFrequencies read_rope(const JsonRef& root, std::int64_t head_dim, double default_theta) {
  // transformers 5 writes rope_parameters; version 4 wrote rope_theta and rope_scaling.
  auto parameters = root.find("rope_parameters");
  auto scaling = parameters ? parameters : root.find("rope_scaling");
  auto theta_at = parameters ? parameters->find("rope_theta") : std::nullopt;
  if (!theta_at) theta_at = root.find("rope_theta");
  double theta = theta_at ? theta_at->number(1e-6, 1e30) : default_theta;

  auto frequencies = std::make_shared<std::vector<double>>();
  for (std::int64_t i = 0; i < head_dim / 2; ++i)
    frequencies->push_back(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
  if (!scaling) return frequencies;
  auto type_at = scaling->find("rope_type");
  if (!type_at) type_at = scaling->find("type");
  std::string type = type_at ? type_at->string() : "default";
  if (type == "default") return frequencies;
  if (type != "linear" && type != "llama3") type_at->fail("a rope type of: default, linear, llama3");
  double factor = scaling->at("factor").number(1, 1e6);
  if (type == "linear") {
    for (double& f : *frequencies) f /= factor;
    return frequencies;
  }
  double low = scaling->at("low_freq_factor").number(1e-6, 1e6),
         high = scaling->at("high_freq_factor").number(1e-6, 1e6);
  double original =
      static_cast<double>(scaling->at("original_max_position_embeddings").integer(1, std::int64_t{1} << 31));
  if (high <= low) scaling->at("high_freq_factor").fail("more than low_freq_factor");
  for (double& f : *frequencies) {
    double wavelength = 2 * std::numbers::pi / f;
    if (wavelength > original / low) {
      f /= factor;
    } else if (wavelength >= original / high) {
      double t = (original / wavelength - low) / (high - low);
      f = (1 - t) * f / factor + t * f;
    }
  }
  return frequencies;
}

}  // namespace loragrad

// SmolLM3.                                                                                   Bakouch et al. 2025
// Llama with layers that are not rotated, every fourth where nothing else is said, and, where the configuration has one, a
// window in those.
//   loragrad train --model smollm3-3b --data rows.jsonl --output adapter
#include "models/rope/rope_reader.h"
#include "models/rotary_decoder.h"

namespace loragrad {
namespace {

/// By layer, whether it is rotated.
std::vector<bool> read_rotated(ConfigReader& read, const ModelConfig& c) {
  std::int64_t interval = read.size("no_rope_layer_interval", 4);
  std::vector<bool> rotated;
  auto list = read.find("no_rope_layers");
  if (list && !list->is_null()) {
    for (const JsonRef& one : list->elements()) rotated.push_back(one.integer(0, 1) == 1);
    if (static_cast<std::int64_t>(rotated.size()) < c.num_hidden_layers)
      list->fail("a list of num_hidden_layers (" + std::to_string(c.num_hidden_layers) + "), 0 for no rotation");
    rotated.resize(static_cast<std::size_t>(c.num_hidden_layers));
  } else {
    for (std::int64_t i = 0; i < c.num_hidden_layers; ++i) rotated.push_back((i + 1) % interval != 0);
  }
  return rotated;
}

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c = read_rotary_sizes(read, {.vocab_size = 128256,
                                           .intermediate_size = 11008,
                                           .max_position_embeddings = 32768,
                                           .hidden_size = 2048,
                                           .num_hidden_layers = 36,
                                           .num_attention_heads = 16,
                                           .tie_word_embeddings = true});
  c.num_key_value_heads = key_value_heads_or_heads(read, c, 4);
  c.head_dim = given_head_dim_or_share(read, c);
  RotaryConfig own;
  own.qkv_bias = own.o_bias = read.flag("attention_bias", false);
  own.mlp_bias = read.flag("mlp_bias", false);
  std::vector<bool> rotated = read_rotated(read, c);
  std::int64_t window = read.size_or_zero("sliding_window", 0);
  bool used = read.flag("use_sliding_window", false);
  // Whoever lists the layers has their window, used or not: transformers' mask goes by the list.
  std::vector<std::string> types = read_layer_types(read, c);
  for (std::size_t i = 0; i < rotated.size(); ++i) {
    bool slides = types.empty() ? used && window > 0 && !rotated[i] : types[i] == "sliding_attention";
    if (slides && window == 0) read.fail("sliding_window", 0, "a window for the layers of layer_types that slide");
    own.windows.push_back(slides ? window : 0);
    own.rope_of_layers.push_back(rotated[i] ? 0 : 1);
  }
  own.ropes = {read_rope(read, c, {.theta = 2e6}), Rope()};
  return rotary_decoder(read, c, own);
}

}  // namespace

Family smollm3_family() { return rotary_family("smollm3", "SmolLM3ForCausalLM", read_config); }

}  // namespace loragrad

// Qwen2 and Qwen2.5.                                                                            Yang et al. 2024
// Llama with biases on q, k and v, and, where use_sliding_window says so, a window in the later layers.
//   loragrad train --model qwen2.5-0.5b --data rows.jsonl --output adapter
#include "models/rotary_decoder.h"

namespace loragrad {
namespace {

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c =
      read_rotary_sizes(read, {.vocab_size = 151936, .intermediate_size = 22016, .max_position_embeddings = 32768});
  c.num_key_value_heads = key_value_heads_or_heads(read, c, 32);
  c.head_dim = given_head_dim_or_share(read, c);
  RotaryConfig own;
  own.qkv_bias = true;
  own.windows = read_layer_windows(read, c);
  return rotary_decoder(read, c, own);
}

}  // namespace

Family qwen2_family() { return rotary_family("qwen2", "Qwen2ForCausalLM", read_config); }

}  // namespace loragrad

// Qwen3 (dense).                                                                                Yang et al. 2025
// Llama with an RMSNorm over each head of q and of k before they are rotated, heads of 128 whatever the width, and, where
// use_sliding_window says so, a window in the later layers.
//   loragrad train --model qwen3-0.6b --data rows.jsonl --output adapter
#include "models/rotary_decoder.h"

namespace loragrad {
namespace {

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c =
      read_rotary_sizes(read, {.vocab_size = 151936, .intermediate_size = 22016, .max_position_embeddings = 32768});
  c.num_key_value_heads = key_value_heads_or_heads(read, c, 32);
  c.head_dim = read.size("head_dim", 128);
  RotaryConfig own;
  own.qkv_bias = own.o_bias = read.flag("attention_bias", false);
  own.qk_norm = QkNorm::head;
  own.windows = read_layer_windows(read, c);
  return rotary_decoder(read, c, own);
}

}  // namespace

Family qwen3_family() { return rotary_family("qwen3", "Qwen3ForCausalLM", read_config); }

}  // namespace loragrad

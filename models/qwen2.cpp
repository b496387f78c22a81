// Qwen2 and Qwen2.5.                                                                            Yang et al. 2024
// Llama with biases on q, k and v, and, where use_sliding_window says so, a window in the later layers.
//   loragrad train --model qwen2.5-0.5b --data rows.jsonl --output adapter
#include "models/rope_reader.h"
#include "models/rotary_decoder.h"

namespace loragrad {
namespace {

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c =
      read_rotary_sizes(read, {.vocab_size = 151936, .intermediate_size = 22016, .max_position_embeddings = 32768});
  c.num_key_value_heads =
      read.size_or_null("num_key_value_heads", read.find("num_key_value_heads") ? c.num_attention_heads : 32);
  c.head_dim = read.find("head_dim") ? read.size("head_dim", 0) : head_dim_or_share(read, c);
  RotaryConfig own;
  own.qkv_bias = true;
  own.windows = read_layer_windows(read, c);
  own.frequencies = read_rope(read, c, 10000);
  return rotary_decoder(c, own);
}

}  // namespace

Family qwen2_family() {
  return {"qwen2", "model.", "Qwen2ForCausalLM", {"q_proj", "v_proj"}, read_config, {".rotary_emb.inv_freq"}};
}

}  // namespace loragrad

// OLMo 2.                                                                                    Team OLMo et al. 2024
// Llama with its norms elsewhere: none before attention and MLP, one behind each, before it is added; and one over all of
// q and over all of k before they are cut into heads and rotated.
//   loragrad train --model olmo-2-1b --data rows.jsonl --output adapter
#include "models/rotary_decoder.h"

namespace loragrad {
namespace {

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c = read_rotary_sizes(
      read, {.vocab_size = 50304, .intermediate_size = 11008, .max_position_embeddings = 2048, .rms_norm_eps = 1e-5});
  c.num_key_value_heads = key_value_heads_or_heads(read, c, c.num_attention_heads);
  c.head_dim = read.find("head_dim") ? read.size("head_dim", 0) : head_dim_or_share(read, c);
  RotaryConfig own;
  own.qkv_bias = own.o_bias = read.flag("attention_bias", false);
  own.norms = {.before_attention = nullptr,
               .after_attention = "post_attention_layernorm",
               .before_mlp = nullptr,
               .after_mlp = "post_feedforward_layernorm"};
  own.qk_norm = QkNorm::width;
  return rotary_decoder(read, c, own);
}

}  // namespace

Family olmo2_family() { return rotary_family("olmo2", "Olmo2ForCausalLM", read_config); }

}  // namespace loragrad

// Llama: Open and efficient foundation language models.                                     Touvron et al. 2023
// RMSNorm, rotary positions in halves, grouped-query attention, gated SiLU; tied or untied head; Llama 3's rope
// scaling.
//   loragrad train --model smollm2-135m --data rows.jsonl --output adapter
#include "models/rotary_decoder.h"

namespace loragrad {
namespace {

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c =
      read_rotary_sizes(read, {.vocab_size = 32000, .intermediate_size = 11008, .max_position_embeddings = 2048});
  c.num_key_value_heads = key_value_heads_or_heads(read, c, c.num_attention_heads);
  // transformers asks for this even where head_dim is given and the width does not matter.
  read.require_divisor("num_attention_heads", c.num_attention_heads, c.hidden_size);
  c.head_dim = head_dim_or_share(read, c);
  RotaryConfig own;
  own.qkv_bias = own.o_bias = read.flag("attention_bias", false);
  own.mlp_bias = read.flag("mlp_bias", false);
  return rotary_decoder(read, c, own);
}

}  // namespace

Family llama_family() { return rotary_family("llama", "LlamaForCausalLM", read_config); }

}  // namespace loragrad

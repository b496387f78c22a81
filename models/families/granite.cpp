// Granite 3.                                                                            Granite Team, IBM 2024
// Llama with four multipliers: of the embeddings, of attention's scores, of what each half of a block adds, and of the
// logits (by which they are divided).
//   loragrad train --model granite-3.3-2b --data rows.jsonl --output adapter
#include "models/rotary_decoder.h"

namespace loragrad {
namespace {

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c =
      read_rotary_sizes(read, {.vocab_size = 32000, .intermediate_size = 11008, .max_position_embeddings = 2048});
  c.num_key_value_heads = key_value_heads_or_heads(read, c, c.num_attention_heads);
  c.head_dim = given_head_dim_or_share(read, c);
  RotaryConfig own;
  own.qkv_bias = own.o_bias = read.flag("attention_bias", false);
  own.mlp_bias = read.flag("mlp_bias", false);
  auto multiplier = [&](const char* key) {
    double value = read.positive(key, 1);
    c.details.emplace_back(key, std::vector{value});
    return value;
  };
  own.embedding_scale = multiplier("embedding_multiplier");
  own.score_scale = multiplier("attention_multiplier");
  own.residual_scale = multiplier("residual_multiplier");
  own.logit_scale = 1 / multiplier("logits_scaling");
  return rotary_decoder(read, c, own);
}

}  // namespace

Family granite_family() { return rotary_family("granite", "GraniteForCausalLM", read_config); }

}  // namespace loragrad

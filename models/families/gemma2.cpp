// Gemma 2.                                                                          Gemma Team, Google DeepMind 2024
// Gemma 1 with four norms in a block, soft caps on attention's scores and on the logits, and a window in every other
// layer, the first among them.
//   loragrad train --model gemma-2-2b --data rows.jsonl --output adapter
#include "models/families/gemma_config.h"

namespace loragrad {
namespace {

FamilyConfig read_config(ConfigReader& read) {
  RotaryConfig own;
  ModelConfig c = read_gemma2_sizes(read, 30,
                                    {.vocab_size = 256000,
                                     .intermediate_size = 9216,
                                     .max_position_embeddings = 8192,
                                     .hidden_size = 2304,
                                     .num_hidden_layers = 26,
                                     .num_attention_heads = 8},
                                    own);
  own.score_cap = read_soft_cap(read, c, "attn_logit_softcapping", 50);
  read_local_layers(read, c, nullptr, 2, own);
  return rotary_decoder(read, c, own);
}

}  // namespace

Family gemma2_family() { return rotary_family("gemma2", "Gemma2ForCausalLM", read_config); }

}  // namespace loragrad

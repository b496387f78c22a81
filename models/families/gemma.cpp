// Gemma 1.                                                                          Gemma Team, Google DeepMind 2024
// Llama with heads of 256 whatever the width, embeddings times the root of the width, norms by one plus their weight, and
// a gate of tanh GELU; the head is the embedding.
//   loragrad train --model gemma-2b --data rows.jsonl --output adapter
#include "models/families/gemma_config.h"

namespace loragrad {
namespace {

FamilyConfig read_config(ConfigReader& read) {
  RotaryConfig own;
  ModelConfig c = read_gemma_sizes(read,
                                   {.vocab_size = 256000,
                                    .intermediate_size = 24576,
                                    .max_position_embeddings = 8192,
                                    .hidden_size = 3072,
                                    .num_hidden_layers = 28,
                                    .num_attention_heads = 16},
                                   16, own);
  // Early files say "gelu"; the model was trained with the approximation.
  if (c.activation == Activation::gelu_erf) c.activation = Activation::gelu_tanh;
  return rotary_decoder(read, c, own);
}

}  // namespace

Family gemma_family() { return rotary_family("gemma", "GemmaForCausalLM", read_config); }

}  // namespace loragrad

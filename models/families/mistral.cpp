// Mistral 7B.                                                                                  Jiang et al. 2023
// Llama with grouped-query attention over a window in every layer: a token sees the last sliding_window tokens.
//   loragrad train --model mistral-7b --data rows.jsonl --output adapter
#include "models/rotary_decoder.h"

namespace loragrad {
namespace {

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c =
      read_rotary_sizes(read, {.vocab_size = 32000, .intermediate_size = 14336, .max_position_embeddings = 131072});
  c.num_key_value_heads = read.size("num_key_value_heads", 8);
  c.head_dim = head_dim_or_share(read, c);
  RotaryConfig own;
  if (std::int64_t window = read.size_or_zero("sliding_window", 4096))
    own.windows.assign(static_cast<std::size_t>(c.num_hidden_layers), window);
  return rotary_decoder(read, c, own);
}

}  // namespace

Family mistral_family() { return rotary_family("mistral", "MistralForCausalLM", read_config); }

}  // namespace loragrad

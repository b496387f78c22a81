#pragma once
#include "models/rotary_decoder.h"

namespace loragrad {

/// The keys that Gemma 1, 2 and 3 have in common, and what they all compute: heads of 256 whatever the width, norms by
/// one plus their weight, embeddings times the root of the width, a gate of tanh GELU, and a head that is the embedding.
/// Biases, norms and the scale of embeddings go to `own`.
ModelConfig read_gemma_sizes(ConfigReader& read, RotarySizes defaults, std::int64_t num_key_value_heads,
                             RotaryConfig& own);

/// The same for Gemma 2 and 3: a norm before and one behind each half of a block, scores / sqrt(query_pre_attn_scalar), a
/// soft cap of logits (`logit_cap` where the key is absent; null: none).
ModelConfig read_gemma2_sizes(ConfigReader& read, double logit_cap, RotarySizes defaults, RotaryConfig& own);
/// A soft cap, above 0; null: 0, none. Added to the details of `c`.
double read_soft_cap(ConfigReader& read, ModelConfig& c, const char* key, double absent);

}  // namespace loragrad

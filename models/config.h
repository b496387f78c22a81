#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/rope.h"

namespace loragrad {

/// What a config.json says of any family, in transformers' words. Read and checked by each family's file.
struct ModelConfig {
  std::string model_type;  ///< "opt", "gpt2", "llama"
  std::int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  std::int64_t max_position_embeddings = 0;
  std::int64_t word_embed_proj_dim = 0;  ///< OPT: width of the embedding where it differs
  double norm_eps = 1e-5;
  Activation activation = Activation::relu;
  bool tie_word_embeddings = true;
  bool do_layer_norm_before = true;  ///< OPT-350M: false
  bool attention_bias = false, mlp_bias = false;
  RopeFrequencies rope_frequencies;  ///< Llama
  /// generation_config.json's, or, where it has none (null, []), config.json's. All are below vocab_size.
  std::vector<std::int32_t> eos_token_ids;
  std::optional<std::int32_t> bos_token_id;  ///< from the same places; nullopt where it is no id of the vocabulary

  AttentionConfig attention() const;
};

}  // namespace loragrad

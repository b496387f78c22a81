#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
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
  bool do_layer_norm_before = true;      ///< OPT-350M: false
  bool remove_final_layer_norm = false;  ///< OPT checkpoints trained before transformers 4.20.1
  bool attention_bias = false, mlp_bias = false;
  bool scale_attn_weights = true, scale_attn_by_inverse_layer_idx = false;  ///< GPT-2: scores / sqrt(D), / (layer + 1)
  std::vector<double> rope_frequencies;                                     ///< Llama: of positions, for half a head
  /// generation_config.json's, or, where it has none (null, []), config.json's. All are below vocab_size.
  std::vector<std::int32_t> eos_token_ids;
  std::optional<std::int32_t> bos_token_id;  ///< from the same places; nullopt where it is no id of the vocabulary
  /// What the files say that counts for nothing, or is not what it seems: a line each.
  std::vector<std::string> warnings;

  AttentionConfig attention() const;
};

}  // namespace loragrad

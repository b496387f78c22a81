#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ops/activation.h"
#include "ops/attention.h"

namespace loragrad {

/// What a config.json says that code for all families reads, in transformers' words. What only a family's own file
/// reads stays there (models/families/family.h).
struct ModelConfig {
  std::string model_type;  ///< "opt", "gpt2", "llama", ...
  std::int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  std::int64_t max_position_embeddings = 0;
  /// A row that becomes longer than this while it is decoded turns otherwise, and its keys with it: they are computed
  /// anew. 0: none does.
  std::int64_t original_max_position_embeddings = 0;
  /// Tokens that come to a row beyond this turn by the length that it has then, and keys that are there stay as they
  /// are. 0: none do.
  std::int64_t positions_turned_alike = 0;
  std::int64_t word_embed_proj_dim = 0;  ///< width of the embedding and the head: hidden_size, but for some OPTs
  double norm_eps = 1e-5;
  Activation activation = Activation::relu;
  bool tie_word_embeddings = true;
  double final_logit_softcapping = 0;  ///< logits z are cap tanh(z / cap); 0: as they are
  /// What else the family read that decides what is computed, by name, in its order (a flag is 0 or 1): bases that
  /// differ in it are different ones (models/files/base_hash.h).
  std::vector<std::pair<std::string, std::vector<double>>> details;
  /// generation_config.json's, or, where it has none (null, []), config.json's. All are below vocab_size.
  std::vector<std::int32_t> eos_token_ids;
  std::optional<std::int32_t> bos_token_id;  ///< from the same places; nullopt where it is no id of the vocabulary
  /// What the files say that counts for nothing, or is not what it seems: a line each.
  std::vector<std::string> warnings;

  /// Of a layer without a window, with scores / sqrt(head_dim).
  AttentionConfig attention() const;
  /// The detail of that name; null where there is none.
  const std::vector<double>* detail(const std::string& name) const;
};

}  // namespace loragrad

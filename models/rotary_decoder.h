#pragma once
#include "models/decoder.h"
#include "models/rope/rope.h"

namespace loragrad {

/// RMSNorms of q and of k before they are rotated: none, over each head by itself, or over all heads together.
enum class QkNorm { none, head, width };

/// The RMSNorms of a block by their names, null where there is none: x + after(half(before(x))).
struct BlockNorms {
  const char *before_attention = "input_layernorm", *after_attention = nullptr;
  const char *before_mlp = "post_attention_layernorm", *after_mlp = nullptr;
};

/// What decides, beside ModelConfig, between Llama and the families that came after it.
struct RotaryConfig {
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  QkNorm qk_norm = QkNorm::none;
  std::vector<std::int64_t> windows = {};  ///< by layer, 0 for none; empty: no layer has one
  BlockNorms norms = {};
  double norm_offset = 0;                 ///< of all norms' weights
  double embedding_scale = 1;             ///< rounded to the type that is computed in
  double score_scale = 0, score_cap = 0;  ///< of attention; 0: head_dim^-0.5, no soft cap
  double residual_scale = 1;              ///< of what each half of a block adds
  double logit_scale = 1;
  std::vector<Rope> ropes = {};                  ///< that layers turn by
  std::vector<std::size_t> rope_of_layers = {};  ///< which of them each does; empty: the first
};

/// Their keys of the same name and meaning; the defaults that differ are a family's.
struct RotarySizes {
  std::int64_t vocab_size, intermediate_size, max_position_embeddings;
  double rms_norm_eps = 1e-6;
  std::int64_t hidden_size = 4096, num_hidden_layers = 32, num_attention_heads = 32;
  const char *activation_key = "hidden_act", *activation = "silu";
  bool tie_word_embeddings = false;
};
ModelConfig read_rotary_sizes(ConfigReader& read, const RotarySizes& defaults);
/// num_key_value_heads, or `absent`; null: as many as heads.
std::int64_t key_value_heads_or_heads(ConfigReader& read, const ModelConfig& c, std::int64_t absent);
/// head_dim; where it is absent or null, each head's share of the width, which must be whole then.
std::int64_t head_dim_or_share(ConfigReader& read, const ModelConfig& c);
/// The same, but null is no value.
std::int64_t given_head_dim_or_share(ConfigReader& read, const ModelConfig& c);

/// layer_types: for each layer "full_attention" or "sliding_attention"; none where the key is absent or null.
std::vector<std::string> read_layer_types(ConfigReader& read, const ModelConfig& c);
/// Which layers are local: those that layer_types calls "sliding_attention" (the others: "full_attention"), or, where
/// that key is absent or null, all but every `period`-th, which `period_key` may say otherwise (null: no such key). Their
/// window, sliding_window (4096), goes to `own`.
std::vector<bool> read_local_layers(ConfigReader& read, const ModelConfig& c, const char* period_key,
                                    std::int64_t period, RotaryConfig& own);
/// The windows of layers that layer_types calls "sliding_attention" (the others: "full_attention"), or, without that
/// key, of those from the max_window_layers-th on; none unless use_sliding_window.
std::vector<std::int64_t> read_layer_windows(ConfigReader& read, const ModelConfig& c);

/// Rotary, grouped-query attention; gated MLP; RMSNorms before each half of a block or behind it. Where `own` has no
/// rotation it is read (theta 10000 where nothing says it). Adds to the details of `c` what decides.
FamilyConfig rotary_decoder(ConfigReader& read, ModelConfig c, RotaryConfig own);

/// A family of such decoders, whose stored names, default targets and ignored buffers are Llama's.
Family rotary_family(const char* model_type, const char* architecture, FamilyConfig (*read_config)(ConfigReader& read));

}  // namespace loragrad

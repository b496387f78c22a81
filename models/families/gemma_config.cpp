#include "models/families/gemma_config.h"

#include <cmath>

namespace loragrad {

ModelConfig read_gemma_sizes(ConfigReader& read, RotarySizes defaults, std::int64_t num_key_value_heads,
                             RotaryConfig& own) {
  defaults.activation = "gelu_pytorch_tanh";
  defaults.tie_word_embeddings = true;
  ModelConfig c = read_rotary_sizes(read, defaults);
  c.num_key_value_heads = read.size("num_key_value_heads", num_key_value_heads);
  c.head_dim = read.size("head_dim", 256);
  read.require_or_null("use_bidirectional_attention", false);
  own.qkv_bias = own.o_bias = read.flag("attention_bias", false);
  own.norm_offset = 1;
  own.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  return c;
}

ModelConfig read_gemma2_sizes(ConfigReader& read, double logit_cap, RotarySizes defaults, RotaryConfig& own) {
  defaults.activation_key = "hidden_activation";
  ModelConfig c = read_gemma_sizes(read, defaults, 4, own);
  read.require_divisor("num_attention_heads", c.num_attention_heads, c.hidden_size);
  own.norms = {.before_attention = "input_layernorm",
               .after_attention = "post_attention_layernorm",
               .before_mlp = "pre_feedforward_layernorm",
               .after_mlp = "post_feedforward_layernorm"};
  auto scalar = static_cast<double>(read.size("query_pre_attn_scalar", 256));
  own.score_scale = 1 / std::sqrt(scalar);
  c.details.emplace_back("query_pre_attn_scalar", std::vector<double>{scalar});
  c.final_logit_softcapping = read_soft_cap(read, c, "final_logit_softcapping", logit_cap);
  return c;
}

double read_soft_cap(ConfigReader& read, ModelConfig& c, const char* key, double absent) {
  auto value = read.find(key);
  double cap = value && value->is_null() ? 0 : value ? read.positive(key, 0) : absent;
  c.details.emplace_back(key, std::vector<double>{cap});
  return cap;
}

}  // namespace loragrad

#include "models/rotary_decoder.h"

#include <algorithm>

#include "models/rope/rope_reader.h"
#include "ops/elementwise.h"

namespace loragrad {
namespace {

struct Layer {
  AttentionBlock self_attn;
  GatedMlp mlp;
  RmsNorm before_attention, after_attention, before_mlp, after_mlp;
};

AttentionBlock attention_block(const ModelParts& parts, const RotaryConfig& own, const std::string& name,
                               std::size_t layer) {
  ParameterSource& source = *parts.source;
  const ModelConfig& c = parts.config;
  std::int64_t d = c.hidden_size, q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  AttentionBlock block = {source.linear(name + "q_proj", d, q, own.qkv_bias),
                          source.linear(name + "k_proj", d, kv, own.qkv_bias),
                          source.linear(name + "v_proj", d, kv, own.qkv_bias),
                          source.linear(name + "o_proj", q, d, own.o_bias, Start::residual_matrix),
                          c.attention(),
                          layer};
  if (!own.windows.empty()) block.config.window = own.windows[layer];
  if (own.score_scale != 0) block.config.scale = own.score_scale;
  block.config.soft_cap = own.score_cap;
  if (own.qk_norm != QkNorm::none) {
    bool head = own.qk_norm == QkNorm::head;
    block.q_norm = source.rms_norm(name + "q_norm", head ? c.head_dim : q, c.norm_eps, own.norm_offset);
    block.k_norm = source.rms_norm(name + "k_norm", head ? c.head_dim : kv, c.norm_eps, own.norm_offset);
  }
  return block;
}

GatedMlp gated_mlp(const ModelParts& parts, const RotaryConfig& own, const std::string& name) {
  ParameterSource& source = *parts.source;
  std::int64_t d = parts.config.hidden_size, f = parts.config.intermediate_size;
  return {source.linear(name + "gate_proj", d, f, own.mlp_bias), source.linear(name + "up_proj", d, f, own.mlp_bias),
          source.linear(name + "down_proj", f, d, own.mlp_bias, Start::residual_matrix), parts.config.activation};
}

class RotaryDecoder final : public Decoder {
 public:
  RotaryDecoder(const ModelParts& parts, const RotaryConfig& own)
      : Decoder(parts), own_(own), embedding_scale_(rounded(own.embedding_scale)), layers_(layer_count()) {
    ParameterSource& source = *parts.source;
    std::int64_t d = config_.hidden_size;
    auto norm = [&](const std::string& name) { return source.rms_norm(name, d, config_.norm_eps, own.norm_offset); };
    own_.rope_of_layers.resize(layers_.size());
    for (const Rope& rope : own.ropes) ropes_.emplace_back(rope, device_);
    embed_tokens_ = source.embedding("model.embed_tokens", {config_.vocab_size, d}, config_.tie_word_embeddings);
    adaptable(embed_tokens_);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::string name = "model.layers." + std::to_string(i) + ".";
      auto named = [&](const char* of_block) { return of_block ? norm(name + of_block) : RmsNorm(); };
      layers_[i] = {attention_block(parts, own, name + "self_attn.", i),
                    gated_mlp(parts, own, name + "mlp."),
                    named(own.norms.before_attention),
                    named(own.norms.after_attention),
                    named(own.norms.before_mlp),
                    named(own.norms.after_mlp)};
      adaptable(layers_[i].self_attn.linears());
      adaptable(layers_[i].mlp.linears());
    }
    norm_ = norm("model.norm");
    head_ = source.head({config_.vocab_size, d}, embed_tokens_, config_.tie_word_embeddings);
  }

  Tensor forward(const Pass& pass) const override {
    std::vector<Tensor> turns;
    for (const Rotary& rope : ropes_) turns.push_back(rope(pass.batch, dtype_));
    Tensor x = embed_tokens_(pass, residual(), embedding_scale_);
    x = through_blocks(std::move(x), pass, [this, turns](const Tensor& y, std::size_t layer, const Pass& p) {
      return block(layers_[layer], y, p, turns[own_.rope_of_layers[layer]]);
    });
    return scaled(norm_(x, dtype_), own_.logit_scale);  // the head is linear
  }

 private:
  Tensor block(const Layer& layer, const Tensor& x, const Pass& pass, const Tensor& turns) const {
    Tensor middle =
        add(x, after(layer.after_attention, layer.self_attn(before(layer.before_attention, x), pass, turns)));
    return add(middle, after(layer.after_mlp, layer.mlp(before(layer.before_mlp, middle), pass)));
  }
  Tensor before(const RmsNorm& norm, const Tensor& x) const { return norm.weight ? norm(x, dtype_) : cast(x, dtype_); }
  Tensor after(const RmsNorm& norm, const Tensor& y) const {
    return scaled(norm.weight ? norm(y, residual()) : y, own_.residual_scale);
  }
  static Tensor scaled(const Tensor& x, double factor) { return factor == 1 ? x : scale(x, factor); }

  RotaryConfig own_;
  double embedding_scale_;
  std::vector<Rotary> ropes_;
  EmbeddingLayer embed_tokens_;
  std::vector<Layer> layers_;
  RmsNorm norm_;
};

/// What two bases of equal shapes may differ in.
void add_details(ModelConfig& c, const RotaryConfig& own) {
  if (!own.rope_of_layers.empty())
    c.details.emplace_back("rope_of_layers", std::vector<double>(own.rope_of_layers.begin(), own.rope_of_layers.end()));
  if (std::any_of(own.windows.begin(), own.windows.end(), [](std::int64_t window) { return window > 0; }))
    c.details.emplace_back("windows", std::vector<double>(own.windows.begin(), own.windows.end()));
}

}  // namespace

ModelConfig read_rotary_sizes(ConfigReader& read, const RotarySizes& defaults) {
  ModelConfig c;
  c.vocab_size = read.size("vocab_size", defaults.vocab_size);
  c.hidden_size = c.word_embed_proj_dim = read.size("hidden_size", defaults.hidden_size);
  c.intermediate_size = read.size("intermediate_size", defaults.intermediate_size);
  c.num_hidden_layers = read.size("num_hidden_layers", defaults.num_hidden_layers);
  c.num_attention_heads = read.size("num_attention_heads", defaults.num_attention_heads);
  c.max_position_embeddings = read.size("max_position_embeddings", defaults.max_position_embeddings);
  c.norm_eps = read.positive("rms_norm_eps", defaults.rms_norm_eps);
  c.activation = read.activation(defaults.activation_key, defaults.activation);
  c.tie_word_embeddings = read.flag("tie_word_embeddings", defaults.tie_word_embeddings);
  return c;
}

std::int64_t key_value_heads_or_heads(ConfigReader& read, const ModelConfig& c, std::int64_t absent) {
  bool there = read.find("num_key_value_heads").has_value();
  return read.size_or_null("num_key_value_heads", there ? c.num_attention_heads : absent);
}

std::int64_t head_dim_or_share(ConfigReader& read, const ModelConfig& c) {
  if (auto given = read.find("head_dim"); given && !given->is_null()) return read.size("head_dim", 0);
  read.require_divisor("num_attention_heads", c.num_attention_heads, c.hidden_size);
  return c.hidden_size / c.num_attention_heads;
}

std::int64_t given_head_dim_or_share(ConfigReader& read, const ModelConfig& c) {
  return read.find("head_dim") ? read.size("head_dim", 0) : head_dim_or_share(read, c);
}

std::vector<std::string> read_layer_types(ConfigReader& read, const ModelConfig& c) {
  auto types = read.find("layer_types");
  if (!types || types->is_null()) return {};
  std::vector<std::string> of_layers = types->strings();
  if (static_cast<std::int64_t>(of_layers.size()) != c.num_hidden_layers)
    types->fail("a list of num_hidden_layers (" + std::to_string(c.num_hidden_layers) + ") types");
  for (std::size_t i = 0; i < of_layers.size(); ++i)
    if (of_layers[i] != "sliding_attention" && of_layers[i] != "full_attention")
      (*types)[i].fail("full_attention or sliding_attention");
  return of_layers;
}

std::vector<bool> read_local_layers(ConfigReader& read, const ModelConfig& c, const char* period_key,
                                    std::int64_t period, RotaryConfig& own) {
  std::vector<bool> local(static_cast<std::size_t>(c.num_hidden_layers));
  if (std::vector<std::string> types = read_layer_types(read, c); !types.empty()) {
    for (std::size_t i = 0; i < local.size(); ++i) local[i] = types[i] == "sliding_attention";
  } else {
    if (period_key) period = read.size(period_key, period);
    for (std::size_t i = 0; i < local.size(); ++i) local[i] = (static_cast<std::int64_t>(i) + 1) % period != 0;
  }
  std::int64_t window = read.size("sliding_window", 4096);
  for (bool is_local : local) own.windows.push_back(is_local ? window : 0);
  return local;
}

std::vector<std::int64_t> read_layer_windows(ConfigReader& read, const ModelConfig& c) {
  std::vector<std::int64_t> windows(static_cast<std::size_t>(c.num_hidden_layers), 0);
  bool used = read.flag("use_sliding_window", false);
  std::int64_t window = used ? read.size_or_zero("sliding_window", 4096) : (read.find("sliding_window"), 0);
  std::int64_t first = read.count("max_window_layers", 28);
  if (std::vector<std::string> types = read_layer_types(read, c); !types.empty()) {
    for (std::size_t i = 0; i < windows.size(); ++i)
      if (types[i] == "sliding_attention") windows[i] = window;
  } else {
    for (std::int64_t i = first; i < c.num_hidden_layers; ++i) windows[static_cast<std::size_t>(i)] = window;
  }
  return windows;
}

FamilyConfig rotary_decoder(ConfigReader& read, ModelConfig c, RotaryConfig own) {
  if (own.ropes.empty()) own.ropes.push_back(read_rope(read, c));
  add_ropes(c, own.ropes);
  add_details(c, own);
  return {c, [own](const ModelParts& parts) { return std::make_unique<RotaryDecoder>(parts, own); }};
}

Family rotary_family(const char* model_type, const char* architecture,
                     FamilyConfig (*read_config)(ConfigReader& read)) {
  return {model_type, "model.", architecture, {"q_proj", "v_proj"}, read_config, {".rotary_emb.inv_freq"}};
}

}  // namespace loragrad

// GPT-NeoX and Pythia.                                                        Black et al. 2022; Biderman et al. 2023
// LayerNorm, one fused projection of q, k and v, head by head, a rotation of a part of each head; attention and MLP read
// the same x and are added to it side by side, unless use_parallel_residual says one after the other.
//   loragrad train --model pythia-160m --data rows.jsonl --output adapter
#include "models/decoder.h"
#include "models/rope/rope_reader.h"
#include "ops/elementwise.h"
#include "ops/rope.h"

namespace loragrad {
namespace {

struct Config {
  bool parallel = true;
  bool attention_bias = true;
  Rope rope;
};

struct Layer {
  LayerNorm input_layernorm, post_attention_layernorm;
  LinearLayer query_key_value, dense;
  Mlp mlp;
};

class GptNeoX final : public Decoder {
 public:
  GptNeoX(const ModelParts& parts, const Config& own)
      : Decoder(parts), parallel_(own.parallel), rope_(own.rope, device_), layers_(layer_count()) {
    ParameterSource& source = *parts.source;
    std::int64_t d = config_.hidden_size, f = config_.intermediate_size;
    auto norm = [&](const std::string& name) { return source.layer_norm(name, d, config_.norm_eps); };
    embed_in_ = source.embedding("gpt_neox.embed_in", {config_.vocab_size, d}, config_.tie_word_embeddings);
    adaptable(embed_in_);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::string name = "gpt_neox.layers." + std::to_string(i) + ".";
      Layer& layer = layers_[i];
      layer.input_layernorm = norm(name + "input_layernorm");
      layer.query_key_value = source.linear(name + "attention.query_key_value", d, 3 * d, own.attention_bias);
      layer.dense = source.linear(name + "attention.dense", d, d, own.attention_bias, Start::residual_matrix);
      layer.post_attention_layernorm = norm(name + "post_attention_layernorm");
      layer.mlp = {source.linear(name + "mlp.dense_h_to_4h", d, f, true),
                   source.linear(name + "mlp.dense_4h_to_h", f, d, true, Start::residual_matrix), config_.activation};
      adaptable({&layer.query_key_value, &layer.dense, &layer.mlp.up, &layer.mlp.down});
    }
    final_layer_norm_ = norm("gpt_neox.final_layer_norm");
    head_ = source.head({config_.vocab_size, d}, embed_in_, config_.tie_word_embeddings);
  }

  Tensor forward(const Pass& pass) const override {
    Tensor turns = rope_(pass.batch, dtype_);
    Tensor x = embed_in_(pass, residual());
    x = through_blocks(std::move(x), pass, [this, turns](const Tensor& y, std::size_t layer, const Pass& p) {
      return block(layers_[layer], layer, y, p, turns);
    });
    return final_layer_norm_(x, dtype_);
  }

 private:
  Tensor block(const Layer& layer, std::size_t i, const Tensor& x, const Pass& pass, const Tensor& turns) const {
    Tensor o = attention(layer, i, layer.input_layernorm(x, dtype_), pass, turns);
    Tensor middle = add(x, layer.dense(o, pass));
    return add(middle, layer.mlp(layer.post_attention_layernorm(parallel_ ? x : middle, dtype_), pass));
  }

  Tensor attention(const Layer& layer, std::size_t i, const Tensor& x, const Pass& pass, const Tensor& turns) const {
    std::int64_t heads = config_.num_attention_heads, head_dim = config_.head_dim;
    Tensor qkv = layer.query_key_value(x, pass).reshape({x.rows() * heads, 3 * head_dim});
    // A dense copy of each head's q, k or v.
    auto part = [&](std::int64_t n) {
      return scale(qkv.cols(n * head_dim, head_dim), 1).reshape({x.rows(), heads * head_dim});
    };
    Tensor q = part(0), k = part(1), v = part(2);
    if (turns.defined())
      for (Tensor* turned : {&q, &k}) *turned = rope(*turned, turns, head_dim);
    return attend(q, k, v, pass, config_.attention(), i);
  }

  bool parallel_;
  Rotary rope_;
  EmbeddingLayer embed_in_;
  std::vector<Layer> layers_;
  LayerNorm final_layer_norm_;
};

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c;
  c.vocab_size = read.size("vocab_size", 50432);
  c.hidden_size = c.word_embed_proj_dim = read.size("hidden_size", 6144);
  c.intermediate_size = read.size("intermediate_size", 24576);
  c.num_hidden_layers = read.size("num_hidden_layers", 44);
  c.num_attention_heads = c.num_key_value_heads = read.size("num_attention_heads", 64);
  read.require_divisor("num_attention_heads", c.num_attention_heads, c.hidden_size);
  c.head_dim = c.hidden_size / c.num_attention_heads;
  if (auto given = read.find("head_dim"); given && !given->is_null() && given->integer(1, 1 << 30) != c.head_dim)
    given->fail("hidden_size / num_attention_heads (" + std::to_string(c.head_dim) + ")");
  c.max_position_embeddings = read.size("max_position_embeddings", 2048);
  c.norm_eps = read.positive("layer_norm_eps", 1e-5);
  c.activation = read.activation("hidden_act", "gelu");
  c.tie_word_embeddings = read.flag("tie_word_embeddings", false);
  Config own{read.flag("use_parallel_residual", true), read.flag("attention_bias", true),
             read_rope(read, c, {.theta_key = "rotary_emb_base", .part_key = "rotary_pct", .part = 0.25})};
  add_ropes(c, {own.rope});
  c.details.emplace_back("use_parallel_residual", std::vector{own.parallel ? 1.0 : 0.0});
  return {c, [own](const ModelParts& parts) { return std::make_unique<GptNeoX>(parts, own); }};
}

}  // namespace

Family gpt_neox_family() {
  return {"gpt_neox",          "gpt_neox.", "GPTNeoXForCausalLM",
          {"query_key_value"}, read_config, {".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"}};
}

}  // namespace loragrad

// Phi-3, Phi-3.5 and Phi-4-mini.                                                                  Abdin et al. 2024
// Llama with q, k and v in one projection, gate and up in another, and a rotation that may be of a part of each head.
//   loragrad train --model phi-4-mini --data rows.jsonl --output adapter
#include "models/rope/rope_reader.h"
#include "models/rotary_decoder.h"
#include "ops/elementwise.h"
#include "ops/rope.h"

namespace loragrad {
namespace {

struct Config {
  std::int64_t window = 0;  // of all layers
  Rope rope;
};

struct Layer {
  LinearLayer qkv_proj, o_proj, gate_up_proj, down_proj;
  RmsNorm input_layernorm, post_attention_layernorm;
};

class Phi3 final : public Decoder {
 public:
  Phi3(const ModelParts& parts, const Config& own)
      : Decoder(parts), attention_(config_.attention()), rope_(own.rope, device_), layers_(layer_count()) {
    ParameterSource& source = *parts.source;
    std::int64_t d = config_.hidden_size, f = config_.intermediate_size;
    auto norm = [&](const std::string& name) { return source.rms_norm(name, d, config_.norm_eps); };
    attention_.window = own.window;
    embed_tokens_ = source.embedding("model.embed_tokens", {config_.vocab_size, d}, config_.tie_word_embeddings);
    adaptable(embed_tokens_);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::string name = "model.layers." + std::to_string(i) + ".";
      layers_[i] = {source.linear(name + "self_attn.qkv_proj", d, q() + 2 * kv(), false),
                    source.linear(name + "self_attn.o_proj", q(), d, false, Start::residual_matrix),
                    source.linear(name + "mlp.gate_up_proj", d, 2 * f, false),
                    source.linear(name + "mlp.down_proj", f, d, false, Start::residual_matrix),
                    norm(name + "input_layernorm"),
                    norm(name + "post_attention_layernorm")};
      adaptable({&layers_[i].qkv_proj, &layers_[i].o_proj, &layers_[i].gate_up_proj, &layers_[i].down_proj});
    }
    norm_ = norm("model.norm");
    head_ = source.head({config_.vocab_size, d}, embed_tokens_, config_.tie_word_embeddings);
  }

  Tensor forward(const Pass& pass) const override {
    Tensor turns = rope_(pass.batch, dtype_);
    Tensor x = embed_tokens_(pass, residual());
    x = through_blocks(std::move(x), pass, [this, turns](const Tensor& y, std::size_t layer, const Pass& p) {
      return block(layers_[layer], layer, y, p, turns);
    });
    return norm_(x, dtype_);
  }

 private:
  std::int64_t q() const { return config_.num_attention_heads * config_.head_dim; }
  std::int64_t kv() const { return config_.num_key_value_heads * config_.head_dim; }

  Tensor block(const Layer& layer, std::size_t i, const Tensor& x, const Pass& pass, const Tensor& turns) const {
    Tensor qkv = layer.qkv_proj(layer.input_layernorm(x, dtype_), pass);
    Tensor q_turned = rope(qkv.cols(0, q()), turns, config_.head_dim);
    Tensor k_turned = rope(qkv.cols(q(), kv()), turns, config_.head_dim);
    Tensor o = attend(q_turned, k_turned, qkv.cols(q() + kv(), kv()), pass, attention_, i);
    Tensor middle = add(x, layer.o_proj(o, pass));
    std::int64_t f = config_.intermediate_size;
    Tensor gate_up = layer.gate_up_proj(layer.post_attention_layernorm(middle, dtype_), pass);
    return add(middle, layer.down_proj(gated(config_.activation, gate_up.cols(0, f), gate_up.cols(f, f)), pass));
  }

  AttentionConfig attention_;
  Rotary rope_;
  EmbeddingLayer embed_tokens_;
  std::vector<Layer> layers_;
  RmsNorm norm_;
};

std::size_t layers(const ModelConfig& c) { return static_cast<std::size_t>(c.num_hidden_layers); }

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c = read_rotary_sizes(read, {.vocab_size = 32064,
                                           .intermediate_size = 8192,
                                           .max_position_embeddings = 4096,
                                           .rms_norm_eps = 1e-5,
                                           .hidden_size = 3072});
  c.num_key_value_heads = key_value_heads_or_heads(read, c, c.num_attention_heads);
  c.head_dim = given_head_dim_or_share(read, c);
  Config own;
  own.window = read.size_or_zero("sliding_window", 0);
  if (own.window > 0) c.details.emplace_back("windows", std::vector(layers(c), static_cast<double>(own.window)));
  own.rope = read_rope(read, c, {.part_key = "partial_rotary_factor", .only = "longrope", .original = 4096});
  c.original_max_position_embeddings = own.rope.longest;
  add_ropes(c, {own.rope});
  return {c, [own](const ModelParts& parts) { return std::make_unique<Phi3>(parts, own); }};
}

}  // namespace

Family phi3_family() {
  return {"phi3", "model.", "Phi3ForCausalLM", {"qkv_proj"}, read_config, {".rotary_emb.inv_freq"}};
}

}  // namespace loragrad

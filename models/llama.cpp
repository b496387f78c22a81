// Llama: Open and efficient foundation language models.                                     Touvron et al. 2023
// RMSNorm, rotary positions in halves, grouped-query attention, gated SiLU; tied or untied head; Llama 3's rope
// scaling.
//   loragrad train --model smollm2-135m --data rows.jsonl --output adapter
#include "models/decoder.h"
#include "models/rope_reader.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/norm.h"

namespace loragrad {
namespace {

ModelConfig read_config(ConfigReader& read) {
  ModelConfig c;
  c.vocab_size = read.size("vocab_size", 32000);
  c.hidden_size = c.word_embed_proj_dim = read.size("hidden_size", 4096);
  c.intermediate_size = read.size("intermediate_size", 11008);
  c.num_hidden_layers = read.size("num_hidden_layers", 32);
  c.num_attention_heads = read.size("num_attention_heads", 32);
  c.num_key_value_heads = read.size_or_null("num_key_value_heads", c.num_attention_heads);
  // transformers asks for this even where head_dim is given and the width does not matter.
  read.require_divisor("num_attention_heads", c.num_attention_heads, c.hidden_size);
  c.head_dim = read.size_or_null("head_dim", c.hidden_size / c.num_attention_heads);
  // Before the frequencies are made: a size that no model has is not worth its memory.
  if (c.head_dim % 2 || c.head_dim > 65536) {
    if (read.root().find("head_dim")) read.fail("head_dim", c.head_dim, "an even number up to 65536");
    read.fail("hidden_size", c.hidden_size, "num_attention_heads times an even number up to 65536");
  }
  c.max_position_embeddings = read.size("max_position_embeddings", 2048);
  c.norm_eps = read.positive("rms_norm_eps", 1e-6);
  c.activation = read.activation("hidden_act", "silu");
  c.tie_word_embeddings = read.flag("tie_word_embeddings", false);
  c.attention_bias = read.flag("attention_bias", false);
  c.mlp_bias = read.flag("mlp_bias", false);
  c.rope_frequencies = read_rope(read, c, 10000);
  return c;
}

struct Layer {
  LinearLayer q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj;
  ParameterSlot input_layernorm, post_attention_layernorm;
};

class Llama final : public Decoder {
 public:
  explicit Llama(const ModelParts& parts)
      : Decoder(parts), layers_(static_cast<std::size_t>(config_.num_hidden_layers)) {
    ParameterSource& source = *parts.source;
    frequencies_ = Tensor::from(device_, {1, config_.head_dim / 2}, config_.rope_frequencies);
    std::int64_t d = config_.hidden_size, f = config_.intermediate_size;
    std::int64_t q = config_.num_attention_heads * config_.head_dim,
                 kv = config_.num_key_value_heads * config_.head_dim;
    bool attn_bias = config_.attention_bias, mlp_bias = config_.mlp_bias;
    embed_tokens_ = source.embedding("model.embed_tokens.weight", {config_.vocab_size, d}, "lm_head.weight",
                                     config_.tie_word_embeddings);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::string name = "model.layers." + std::to_string(i) + ".";
      Layer& layer = layers_[i];
      layer.q_proj = source.linear(name + "self_attn.q_proj", d, q, attn_bias);
      layer.k_proj = source.linear(name + "self_attn.k_proj", d, kv, attn_bias);
      layer.v_proj = source.linear(name + "self_attn.v_proj", d, kv, attn_bias);
      layer.o_proj = source.linear(name + "self_attn.o_proj", q, d, attn_bias, Start::residual_matrix);
      layer.gate_proj = source.linear(name + "mlp.gate_proj", d, f, mlp_bias);
      layer.up_proj = source.linear(name + "mlp.up_proj", d, f, mlp_bias);
      layer.down_proj = source.linear(name + "mlp.down_proj", f, d, mlp_bias, Start::residual_matrix);
      layer.input_layernorm = source.vector(name + "input_layernorm.weight", d, Start::one);
      layer.post_attention_layernorm = source.vector(name + "post_attention_layernorm.weight", d, Start::one);
      adaptable({&layer.q_proj, &layer.k_proj, &layer.v_proj, &layer.o_proj, &layer.gate_proj, &layer.up_proj,
                 &layer.down_proj});
    }
    norm_ = source.vector("model.norm.weight", d, Start::one);
    head_ = source.head("lm_head.weight", {config_.vocab_size, d}, embed_tokens_, "model.embed_tokens.weight",
                        config_.tie_word_embeddings);
  }

  Tensor forward(const Pass& pass) const override {
    Tensor x = through_blocks(embedding(pass.batch.ids, *embed_tokens_, residual()), pass);
    return rms_norm(x, *norm_, config_.norm_eps, dtype_);
  }

 private:
  Tensor block(const Tensor& x, std::size_t i, const Pass& pass) const override {
    const Layer& layer = layers_[i];
    Tensor y = rms_norm(x, *layer.input_layernorm, config_.norm_eps, dtype_);
    std::vector<Tensor> qkv = LinearLayer::together({&layer.q_proj, &layer.k_proj, &layer.v_proj}, y, pass);
    for (Tensor* turned : {&qkv[0], &qkv[1]}) *turned = rope(*turned, pass.batch.positions, frequencies_);
    Tensor o = attend(qkv[0], qkv[1], qkv[2], pass, config_.attention(), i);
    qkv.clear();
    Tensor middle = add(x, layer.o_proj(o, pass));
    y = rms_norm(middle, *layer.post_attention_layernorm, config_.norm_eps, dtype_);
    std::vector<Tensor> gate_up = LinearLayer::together({&layer.gate_proj, &layer.up_proj}, y, pass);
    y = gated(config_.activation, gate_up[0], gate_up[1]);
    gate_up.clear();
    return add(middle, layer.down_proj(y, pass));
  }

  Tensor frequencies_;  // of the rotation
  ParameterSlot embed_tokens_, norm_;
  std::vector<Layer> layers_;
};

}  // namespace

Family llama_family() {
  return {
      "llama", "model.", {"q_proj", "v_proj"}, read_config, [](const ModelParts& parts) -> std::unique_ptr<CausalLm> {
        return std::make_unique<Llama>(parts);
      }};
}

}  // namespace loragrad

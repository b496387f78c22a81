// OPT: Open Pre-trained Transformer language models.                                        Zhang et al. 2022
// Learned positions with an offset of 2, biases everywhere, ReLU. opt-350m normalises after each block
// (do_layer_norm_before false), has no final norm, and projects its 512-wide embedding in and out.
//   loragrad train --model opt-125m --data rows.jsonl --output adapter
#include "models/decoder.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"

namespace loragrad {
namespace {

constexpr std::int64_t position_offset = 2;

ModelConfig read_config(ConfigReader& read) {
  ModelConfig c;
  c.vocab_size = read.size("vocab_size", 50272);
  c.hidden_size = read.size("hidden_size", 768);
  c.intermediate_size = read.size("ffn_dim", 3072);
  c.num_hidden_layers = read.size("num_hidden_layers", 12);
  c.num_attention_heads = c.num_key_value_heads = read.size("num_attention_heads", 12);
  read.require_divisor("num_attention_heads", c.num_attention_heads, c.hidden_size);
  c.head_dim = c.hidden_size / c.num_attention_heads;
  c.max_position_embeddings = read.size("max_position_embeddings", 2048);
  c.word_embed_proj_dim = read.size_or_null("word_embed_proj_dim", c.hidden_size);
  c.do_layer_norm_before = read.flag("do_layer_norm_before", true);
  c.activation = read.activation("activation_function", "relu");
  c.tie_word_embeddings = read.flag("tie_word_embeddings", true);
  c.attention_bias = c.mlp_bias = read.flag("enable_bias", true);
  c.remove_final_layer_norm = read.flag("_remove_final_layer_norm", false);
  read.require("layer_norm_elementwise_affine", true);
  return c;
}

struct Layer {
  LinearLayer k_proj, v_proj, q_proj, out_proj, fc1, fc2;
  LayerNorm self_attn_layer_norm, final_layer_norm;
};

class Opt final : public Decoder {
 public:
  explicit Opt(const ModelParts& parts) : Decoder(parts), layers_(static_cast<std::size_t>(config_.num_hidden_layers)) {
    ParameterSource& source = *parts.source;
    std::int64_t d = config_.hidden_size, f = config_.intermediate_size, embed = config_.word_embed_proj_dim;
    std::string decoder = "model.decoder.";
    bool bias = config_.attention_bias;
    auto norm = [&](const std::string& name) {
      return LayerNorm{source.vector(name + ".weight", d, Start::one), source.vector(name + ".bias", d, Start::zero),
                       1e-5};
    };
    embed_tokens_ = source.embedding(decoder + "embed_tokens.weight", {config_.vocab_size, embed}, "lm_head.weight",
                                     config_.tie_word_embeddings);
    embed_positions_ =
        source.matrix(decoder + "embed_positions.weight", {config_.max_position_embeddings + position_offset, d},
                      WeightLayout::out_in, Start::matrix);
    projected_ = embed != d;
    if (projected_) {
      project_in_ = source.linear(decoder + "project_in", embed, d, false);
      adaptable({&project_in_});
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::string name = decoder + "layers." + std::to_string(i) + ".", attn = name + "self_attn.";
      Layer& layer = layers_[i];
      layer.k_proj = source.linear(attn + "k_proj", d, d, bias);
      layer.v_proj = source.linear(attn + "v_proj", d, d, bias);
      layer.q_proj = source.linear(attn + "q_proj", d, d, bias);
      layer.out_proj = source.linear(attn + "out_proj", d, d, bias, Start::residual_matrix);
      layer.self_attn_layer_norm = norm(name + "self_attn_layer_norm");
      layer.fc1 = source.linear(name + "fc1", d, f, bias);
      layer.fc2 = source.linear(name + "fc2", f, d, bias, Start::residual_matrix);
      layer.final_layer_norm = norm(name + "final_layer_norm");
      adaptable({&layer.k_proj, &layer.v_proj, &layer.q_proj, &layer.out_proj, &layer.fc1, &layer.fc2});
    }
    normalised_ = config_.do_layer_norm_before && !config_.remove_final_layer_norm;
    if (normalised_) final_layer_norm_ = norm(decoder + "final_layer_norm");
    if (projected_) {
      project_out_ = source.linear(decoder + "project_out", d, embed, false);
      adaptable({&project_out_});
    }
    head_ = source.head("lm_head.weight", {config_.vocab_size, embed}, embed_tokens_, decoder + "embed_tokens.weight",
                        config_.tie_word_embeddings);
  }

  Tensor forward(const Pass& pass) const override {
    Tensor x = embedding(pass.batch.ids, *embed_tokens_, residual());
    if (projected_) x = cast(project_in_(cast(x, dtype_), pass), residual());
    x = add(x, embedding(pass.batch.positions, embed_positions_->rows(position_offset, config_.max_position_embeddings),
                         residual()));
    x = through_blocks(std::move(x), pass);
    x = normalised_ ? final_layer_norm_(x, dtype_) : cast(x, dtype_);
    return projected_ ? project_out_(x, pass) : x;
  }

 private:
  Tensor block(const Tensor& x, std::size_t i, const Pass& pass) const override {
    const Layer& layer = layers_[i];
    bool before = config_.do_layer_norm_before;
    Tensor y = before ? layer.self_attn_layer_norm(x, dtype_) : cast(x, dtype_);
    std::vector<Tensor> qkv = LinearLayer::together({&layer.q_proj, &layer.k_proj, &layer.v_proj}, y, pass);
    Tensor o = attend(qkv[0], qkv[1], qkv[2], pass, config_.attention(), i);
    qkv.clear();
    Tensor middle = add(x, layer.out_proj(o, pass));
    if (!before) middle = layer.self_attn_layer_norm(middle, residual());
    y = before ? layer.final_layer_norm(middle, dtype_) : cast(middle, dtype_);
    y = activation(config_.activation, layer.fc1(y, pass));
    Tensor out = add(middle, layer.fc2(y, pass));
    return before ? out : layer.final_layer_norm(out, residual());
  }

  ParameterSlot embed_tokens_, embed_positions_;
  LinearLayer project_in_, project_out_;
  bool projected_ = false, normalised_ = true;
  std::vector<Layer> layers_;
  LayerNorm final_layer_norm_;
};

}  // namespace

Family opt_family() {
  return {"opt", "model.", {"q_proj", "v_proj"}, read_config, [](const ModelParts& parts) -> std::unique_ptr<CausalLm> {
            return std::make_unique<Opt>(parts);
          }};
}

}  // namespace loragrad

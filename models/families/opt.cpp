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

struct Config {
  bool norm_before = true;  // of each half of a block; OPT-350M: after
  bool final_norm = true;
  bool bias = true;
};

struct Layer {
  AttentionBlock self_attn;
  Mlp mlp;
  LayerNorm self_attn_layer_norm, final_layer_norm;
};

class Opt final : public Decoder {
 public:
  Opt(const ModelParts& parts, const Config& own) : Decoder(parts), own_(own), layers_(layer_count()) {
    ParameterSource& source = *parts.source;
    std::int64_t d = config_.hidden_size, f = config_.intermediate_size, embed = config_.word_embed_proj_dim;
    std::string decoder = "model.decoder.";
    auto norm = [&](const std::string& name) { return source.layer_norm(name, d, 1e-5); };
    auto linear = [&](const std::string& name, std::int64_t in, std::int64_t out, Start start = Start::matrix) {
      return source.linear(name, in, out, own.bias, start);
    };
    embed_tokens_ =
        source.embedding(decoder + "embed_tokens", {config_.vocab_size, embed}, config_.tie_word_embeddings);
    adaptable(embed_tokens_);
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
      auto& [self_attn, mlp, self_attn_layer_norm, final_layer_norm] = layers_[i];
      self_attn = {linear(attn + "q_proj", d, d), linear(attn + "k_proj", d, d),
                   linear(attn + "v_proj", d, d), linear(attn + "out_proj", d, d, Start::residual_matrix),
                   config_.attention(),           i};
      self_attn_layer_norm = norm(name + "self_attn_layer_norm");
      mlp = {linear(name + "fc1", d, f), linear(name + "fc2", f, d, Start::residual_matrix), config_.activation};
      final_layer_norm = norm(name + "final_layer_norm");
      adaptable(self_attn.linears());
      adaptable(mlp.linears());
    }
    if (own.final_norm) final_layer_norm_ = norm(decoder + "final_layer_norm");
    if (projected_) {
      project_out_ = source.linear(decoder + "project_out", d, embed, false);
      adaptable({&project_out_});
    }
    head_ = source.head({config_.vocab_size, embed}, embed_tokens_, config_.tie_word_embeddings);
  }

  Tensor forward(const Pass& pass) const override {
    Tensor x = embed_tokens_(pass, residual());
    if (projected_) x = cast(project_in_(cast(x, dtype_), pass), residual());
    x = add(x, embedding(pass.batch.positions, embed_positions_->rows(position_offset, config_.max_position_embeddings),
                         residual()));
    x = through_blocks(std::move(x), pass, [this](const Tensor& y, std::size_t layer, const Pass& p) {
      return block(layers_[layer], y, p);
    });
    x = own_.final_norm ? final_layer_norm_(x, dtype_) : cast(x, dtype_);
    return projected_ ? project_out_(x, pass) : x;
  }

 private:
  Tensor block(const Layer& layer, const Tensor& x, const Pass& pass) const {
    bool before = own_.norm_before;
    Tensor middle = add(x, layer.self_attn(before ? layer.self_attn_layer_norm(x, dtype_) : cast(x, dtype_), pass));
    if (!before) middle = layer.self_attn_layer_norm(middle, residual());
    Tensor out = add(middle, layer.mlp(before ? layer.final_layer_norm(middle, dtype_) : cast(middle, dtype_), pass));
    return before ? out : layer.final_layer_norm(out, residual());
  }

  Config own_;
  EmbeddingLayer embed_tokens_;
  ParameterSlot embed_positions_;
  LinearLayer project_in_, project_out_;
  bool projected_ = false;
  std::vector<Layer> layers_;
  LayerNorm final_layer_norm_;
};

FamilyConfig read_config(ConfigReader& read) {
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
  c.activation = read.activation("activation_function", "relu");
  c.tie_word_embeddings = read.flag("tie_word_embeddings", true);
  // Checkpoints that were trained before transformers 4.20.1 have no final norm.
  bool before = read.flag("do_layer_norm_before", true), removed = read.flag("_remove_final_layer_norm", false);
  Config own{before, before && !removed, read.flag("enable_bias", true)};
  c.details = {{"do_layer_norm_before", {before ? 1.0 : 0.0}}, {"_remove_final_layer_norm", {removed ? 1.0 : 0.0}}};
  read.require("layer_norm_elementwise_affine", true);
  return {c, [own](const ModelParts& parts) { return std::make_unique<Opt>(parts, own); }};
}

}  // namespace

Family opt_family() { return {"opt", "model.", "OPTForCausalLM", {"q_proj", "v_proj"}, read_config}; }

}  // namespace loragrad

// GPT-2: Language models are unsupervised multitask learners.                                Radford et al. 2019
// Learned positions, LayerNorm before each block, one fused projection c_attn for q, k and v, weights stored [in, out]
// (Conv1D).
//   loragrad train --model gpt2 --data rows.jsonl --output adapter
#include "models/decoder.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"

namespace loragrad {
namespace {

struct Config {
  bool scale = true;                    // scores / sqrt(D)
  bool scale_by_inverse_layer = false;  // and / (layer + 1)
};

struct Layer {
  LayerNorm ln_1, ln_2;
  LinearLayer c_attn, c_proj;
  AttentionConfig attention;
  Mlp mlp;
};

class Gpt2 final : public Decoder {
 public:
  Gpt2(const ModelParts& parts, const Config& own) : Decoder(parts), layers_(layer_count()) {
    ParameterSource& source = *parts.source;
    std::int64_t d = config_.hidden_size, f = config_.intermediate_size;
    auto norm = [&](const std::string& name) { return source.layer_norm(name, d, config_.norm_eps); };
    auto conv1d = [&](const std::string& name, std::int64_t in, std::int64_t out, Start start) {
      return source.linear(name, in, out, true, start, WeightLayout::in_out);
    };
    wte_ = source.embedding("transformer.wte", {config_.vocab_size, d}, config_.tie_word_embeddings);
    adaptable(wte_);
    wpe_ = source.matrix("transformer.wpe.weight", {config_.max_position_embeddings, d}, WeightLayout::out_in,
                         Start::matrix);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::string name = "transformer.h." + std::to_string(i) + ".";
      Layer& layer = layers_[i];
      layer.ln_1 = norm(name + "ln_1");
      layer.c_attn = conv1d(name + "attn.c_attn", d, 3 * d, Start::matrix);
      layer.c_proj = conv1d(name + "attn.c_proj", d, d, Start::residual_matrix);
      layer.ln_2 = norm(name + "ln_2");
      layer.mlp = {conv1d(name + "mlp.c_fc", d, f, Start::matrix),
                   conv1d(name + "mlp.c_proj", f, d, Start::residual_matrix), config_.activation};
      layer.attention = config_.attention();
      if (!own.scale) layer.attention.scale = 1;
      if (own.scale_by_inverse_layer) layer.attention.scale /= static_cast<double>(i + 1);
      adaptable({&layer.c_attn, &layer.c_proj, &layer.mlp.up, &layer.mlp.down});
    }
    ln_f_ = norm("transformer.ln_f");
    head_ = source.head({config_.vocab_size, d}, wte_, config_.tie_word_embeddings);
  }

  Tensor forward(const Pass& pass) const override {
    Tensor x = add(wte_(pass, residual()), embedding(pass.batch.positions, *wpe_, residual()));
    x = through_blocks(std::move(x), pass, [this](const Tensor& y, std::size_t layer, const Pass& p) {
      return block(layers_[layer], layer, y, p);
    });
    return ln_f_(x, dtype_);
  }

 private:
  Tensor block(const Layer& layer, std::size_t i, const Tensor& x, const Pass& pass) const {
    std::int64_t d = config_.hidden_size;
    Tensor qkv = layer.c_attn(layer.ln_1(x, dtype_), pass);
    Tensor o = attend(qkv.cols(0, d), qkv.cols(d, d), qkv.cols(2 * d, d), pass, layer.attention, i);
    Tensor middle = add(x, layer.c_proj(o, pass));
    return add(middle, layer.mlp(layer.ln_2(middle, dtype_), pass));
  }

  EmbeddingLayer wte_;
  ParameterSlot wpe_;
  std::vector<Layer> layers_;
  LayerNorm ln_f_;
};

FamilyConfig read_config(ConfigReader& read) {
  // transformers knows these sizes by two names, and the one that all families share wins.
  auto known_as = [&](const char* shared, const char* own) { return read.find(shared) ? shared : own; };
  ModelConfig c;
  c.vocab_size = read.size("vocab_size", 50257);
  c.hidden_size = c.word_embed_proj_dim = read.size(known_as("hidden_size", "n_embd"), 768);
  c.intermediate_size = read.size_or_null("n_inner", 4 * c.hidden_size);
  c.num_hidden_layers = read.size(known_as("num_hidden_layers", "n_layer"), 12);
  const char* heads = known_as("num_attention_heads", "n_head");
  c.num_attention_heads = c.num_key_value_heads = read.size(heads, 12);
  read.require_divisor(heads, c.num_attention_heads, c.hidden_size);
  c.head_dim = c.hidden_size / c.num_attention_heads;
  c.max_position_embeddings = read.size(known_as("max_position_embeddings", "n_positions"), 1024);
  c.norm_eps = read.positive("layer_norm_epsilon", 1e-5);
  c.activation = read.activation("activation_function", "gelu_new");
  c.tie_word_embeddings = read.flag("tie_word_embeddings", true);
  Config own{read.flag("scale_attn_weights", true), read.flag("scale_attn_by_inverse_layer_idx", false)};
  c.details = {{"scale_attn_weights", {own.scale ? 1.0 : 0.0}},
               {"scale_attn_by_inverse_layer_idx", {own.scale_by_inverse_layer ? 1.0 : 0.0}}};
  read.require("add_cross_attention", false);
  return {c, [own](const ModelParts& parts) { return std::make_unique<Gpt2>(parts, own); }};
}

}  // namespace

Family gpt2_family() {
  return {"gpt2", "transformer.", "GPT2LMHeadModel", {"c_attn"}, read_config, {".attn.bias", ".attn.masked_bias"}};
}

}  // namespace loragrad

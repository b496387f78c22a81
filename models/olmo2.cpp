// OLMo 2.                                                                                    Team OLMo et al. 2024
// Llama's layout, but for the norms: none before attention and MLP, one behind each, before it is added; and one over
// all of q and over all of k before they are cut into heads and rotated.
//   loragrad train --model olmo-2-1b --data rows.jsonl --output adapter
#include "models/rotary_decoder.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/rope.h"

namespace loragrad {
namespace {

struct Layer {
  AttentionBlock self_attn;
  GatedMlp mlp;
  RmsNorm post_attention_layernorm, post_feedforward_layernorm;
};

class Olmo2 final : public Decoder {
 public:
  Olmo2(const ModelParts& parts, const RotaryConfig& own) : Decoder(parts), layers_(layer_count()) {
    ParameterSource& source = *parts.source;
    std::int64_t d = config_.hidden_size;
    auto norm = [&](const std::string& name) { return source.rms_norm(name, d, config_.norm_eps); };
    frequencies_ = Tensor::from(device_, {1, config_.head_dim / 2}, own.frequencies);
    embed_tokens_ = source.embedding("model.embed_tokens.weight", {config_.vocab_size, d}, "lm_head.weight",
                                     config_.tie_word_embeddings);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::string name = "model.layers." + std::to_string(i) + ".";
      layers_[i] = {rotary_attention(parts, own, i), gated_mlp(parts, own, i), norm(name + "post_attention_layernorm"),
                    norm(name + "post_feedforward_layernorm")};
      adaptable(layers_[i].self_attn.linears());
      adaptable(layers_[i].mlp.linears());
    }
    norm_ = norm("model.norm");
    head_ = source.head("lm_head.weight", {config_.vocab_size, d}, embed_tokens_, "model.embed_tokens.weight",
                        config_.tie_word_embeddings);
  }

  Tensor forward(const Pass& pass) const override {
    Tensor turns = rotations(pass.batch.positions, frequencies_, dtype_);
    Tensor x = embedding(pass.batch.ids, *embed_tokens_, residual());
    x = through_blocks(std::move(x), pass, [this, turns](const Tensor& y, std::size_t layer, const Pass& p) {
      return block(layers_[layer], y, p, turns);
    });
    return norm_(x, dtype_);
  }

 private:
  Tensor block(const Layer& layer, const Tensor& x, const Pass& pass, const Tensor& turns) const {
    Tensor o = layer.self_attn(cast(x, dtype_), pass, turns);
    Tensor middle = add(x, layer.post_attention_layernorm(o, residual()));
    return add(middle, layer.post_feedforward_layernorm(layer.mlp(cast(middle, dtype_), pass), residual()));
  }

  Tensor frequencies_;
  ParameterSlot embed_tokens_;
  std::vector<Layer> layers_;
  RmsNorm norm_;
};

FamilyConfig read_config(ConfigReader& read) {
  ModelConfig c = read_rotary_sizes(
      read, {.vocab_size = 50304, .intermediate_size = 11008, .max_position_embeddings = 2048, .rms_norm_eps = 1e-5});
  c.num_key_value_heads = key_value_heads_or_heads(read, c, c.num_attention_heads);
  c.head_dim = read.find("head_dim") ? read.size("head_dim", 0) : head_dim_or_share(read, c);
  RotaryConfig own;
  own.qkv_bias = own.o_bias = read.flag("attention_bias", false);
  own.qk_norm = QkNorm::width;
  read_rotation(read, c, own);
  return {c, [own](const ModelParts& parts) { return std::make_unique<Olmo2>(parts, own); }};
}

}  // namespace

Family olmo2_family() { return rotary_family("olmo2", "Olmo2ForCausalLM", read_config); }

}  // namespace loragrad

// OLMo 2 and OLMo 3.                                                       Team OLMo et al. 2024; Team OLMo et al. 2025
// Llama with its norms elsewhere: none before attention and MLP, one behind each, before it is added; and one over all of
// q and over all of k before they are cut into heads and rotated. OLMo 3: a window in three layers of four, and a
// rotation of each kind of layers.
//   loragrad train --model olmo-2-1b --data rows.jsonl --output adapter
#include <algorithm>

#include "models/rope/rope_reader.h"
#include "models/rotary_decoder.h"

namespace loragrad {
namespace {

ModelConfig read_both(ConfigReader& read, RotaryConfig& own) {
  ModelConfig c = read_rotary_sizes(
      read, {.vocab_size = 50304, .intermediate_size = 11008, .max_position_embeddings = 2048, .rms_norm_eps = 1e-5});
  c.num_key_value_heads = key_value_heads_or_heads(read, c, c.num_attention_heads);
  c.head_dim = given_head_dim_or_share(read, c);
  own.qkv_bias = own.o_bias = read.flag("attention_bias", false);
  own.norms = {.before_attention = nullptr,
               .after_attention = "post_attention_layernorm",
               .before_mlp = nullptr,
               .after_mlp = "post_feedforward_layernorm"};
  own.qk_norm = QkNorm::width;
  return c;
}

FamilyConfig read_olmo2(ConfigReader& read) {
  RotaryConfig own;
  ModelConfig c = read_both(read, own);
  return rotary_decoder(read, c, own);
}

/// Version 4's rope_scaling is the full layers' alone; its keys replace those that rope_parameters has for them. A theta
/// at the top level is theirs too.
void read_ropes(ConfigReader& read, ModelConfig& c, RotaryConfig& own) {
  constexpr double default_theta = 500000;
  auto parameters = read.find("rope_parameters"), scaling = read.find("rope_scaling"), theta = read.find("rope_theta");
  if (parameters && parameters->is_null()) parameters.reset();
  std::vector<JsonRef> full, sliding;
  if (scaling && !scaling->is_null()) {
    if (parameters && !parameters->find("full_attention"))
      scaling->fail("null where rope_parameters has no full_attention");
    if (!parameters && scaling->find("type") && !scaling->find("rope_type"))
      scaling->at("type").fail("its name to be rope_type, as transformers has it for olmo3");
    full.push_back(*scaling);
  }
  if (parameters)
    for (const auto& [name, of_layers] : parameters->members()) {
      if (name != "full_attention" && name != "sliding_attention")
        c.warnings.push_back(of_layers.where() + ": " + escaped(of_layers.path()) +
                             ": has no effect on this family: full_attention and sliding_attention have");
      else if (!of_layers.is_null())
        (name == "full_attention" ? full : sliding).push_back(of_layers);
    }
  auto says_theta = [](const JsonRef& object) { return object.json().find("rope_theta") != nullptr; };
  bool said = std::any_of(full.begin(), full.end(), says_theta);
  own.ropes = {read_rope_of_layers(read, c, full, theta && !said ? theta->number(1e-6, 1e30) : default_theta),
               read_rope_of_layers(read, c, sliding, default_theta)};
}

FamilyConfig read_olmo3(ConfigReader& read) {
  RotaryConfig own;
  ModelConfig c = read_both(read, own);
  for (bool local : read_local_layers(read, c, nullptr, 4, own)) own.rope_of_layers.push_back(local ? 1 : 0);
  read_ropes(read, c, own);
  return rotary_decoder(read, c, own);
}

}  // namespace

Family olmo2_family() { return rotary_family("olmo2", "Olmo2ForCausalLM", read_olmo2); }
Family olmo3_family() { return rotary_family("olmo3", "Olmo3ForCausalLM", read_olmo3); }

}  // namespace loragrad

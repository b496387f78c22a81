// Gemma 3, the text model.                                                          Gemma Team, Google DeepMind 2025
// Gemma 2 without caps, with an RMSNorm over each head of q and of k, and, by default, five local layers with a window
// and a rotation of their own to each global one.
//   loragrad train --model gemma-3-270m --data rows.jsonl --output adapter
#include "models/families/gemma_config.h"
#include "models/rope/rope_reader.h"

namespace loragrad {
namespace {

/// The object that says how layers of this type are rotated; none where nothing does.
std::vector<JsonRef> object_of(ConfigReader& read, const char* layer_type) {
  auto of_types = read.find("rope_parameters");
  if (!of_types || of_types->is_null() || !of_types->json().find(layer_type)) return {};
  JsonRef object = of_types->at(layer_type);
  return object.is_null() ? std::vector<JsonRef>{} : std::vector{object};
}

/// The global layers': version 4 has it in rope_scaling.
std::vector<JsonRef> global_object(ConfigReader& read) {
  auto of_types = read.find("rope_parameters"), scaling = read.find("rope_scaling");
  if (!scaling || scaling->is_null() || scaling->members().empty()) return object_of(read, "full_attention");
  if (of_types && !of_types->is_null()) scaling->fail("null or no such key beside rope_parameters");
  if (!scaling->json().find("rope_type")) scaling->fail("an object with a rope_type");
  return {*scaling};
}

/// theta is the object's own, else the top level's by `key`, else `absent`.
Rope read_rope_of(ConfigReader& read, ModelConfig& c, const std::vector<JsonRef>& object, const char* key,
                  double absent) {
  auto at = read.find(key);
  if (at && (object.empty() || !object.front().json().find("rope_theta"))) absent = at->number(1e-6, 1e30);
  return read_rope_of_layers(read, c, object, absent);
}

void warn_of_unused(ConfigReader& read, ModelConfig& c) {
  if (auto of_types = read.find("rope_parameters"); of_types && !of_types->is_null())
    for (const auto& [key, value] : of_types->members())
      if (key != "full_attention" && key != "sliding_attention")
        c.warnings.push_back(value.where() + ": " + escaped(value.path()) + ": has no effect: it is no type of layer");
  if (auto cap = read.find("attn_logit_softcapping"); cap && !cap->is_null())
    c.warnings.push_back(cap->where() + ": attn_logit_softcapping: has no effect on this family");
}

FamilyConfig read_config(ConfigReader& read) {
  RotaryConfig own;
  ModelConfig c = read_gemma2_sizes(read, 0,
                                    {.vocab_size = 262208,
                                     .intermediate_size = 9216,
                                     .max_position_embeddings = 131072,
                                     .hidden_size = 2304,
                                     .num_hidden_layers = 26,
                                     .num_attention_heads = 8},
                                    own);
  own.qk_norm = QkNorm::head;
  read.refuse("partial_rotary_factor");
  for (bool local : read_local_layers(read, c, "sliding_window_pattern", 6, own))
    own.rope_of_layers.push_back(local ? 1 : 0);
  own.ropes = {read_rope_of(read, c, global_object(read), "rope_theta", 1e6),
               read_rope_of(read, c, object_of(read, "sliding_attention"), "rope_local_base_freq", 1e4)};
  warn_of_unused(read, c);
  return rotary_decoder(read, c, own);
}

}  // namespace

Family gemma3_family() { return rotary_family("gemma3_text", "Gemma3ForCausalLM", read_config); }

}  // namespace loragrad

#include "models/files/gguf_names.h"

#include <algorithm>
#include <array>

#include "engine/error.h"
#include "lora/layer_name.h"

namespace loragrad {
namespace {

struct Architecture {
  std::string_view model_type, name;
  bool reorders_q_and_k = false;
};
constexpr Architecture architectures[] = {
    {"llama", "llama", true},  {"mistral", "llama", true}, {"granite", "granite", true}, {"smollm3", "smollm3", true},
    {"qwen2", "qwen2"},        {"qwen3", "qwen3"},         {"gemma", "gemma"},           {"gemma2", "gemma2"},
    {"gemma3_text", "gemma3"}, {"phi3", "phi3"},           {"olmo2", "olmo2"},           {"olmo3", "olmo2"},
    {"gpt_neox", "gptneox"},   {"gpt2", "gpt2"},
};

/// The ends of our names, behind "....layers.N." or "....h.N.", and theirs.
constexpr std::array<std::pair<std::string_view, std::string_view>, 17> ends{{
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"attention.query_key_value", "attn_qkv"},
    {"attention.dense", "attn_output"},
    {"mlp.dense_h_to_4h", "ffn_up"},
    {"mlp.dense_4h_to_h", "ffn_down"},
    {"attn.c_attn", "attn_qkv"},
    {"attn.c_proj", "attn_output"},
    {"mlp.c_fc", "ffn_up"},
    {"mlp.c_proj", "ffn_down"},
}};

const Architecture& architecture_of(const ModelConfig& config) {
  for (const Architecture& each : architectures)
    if (each.model_type == config.model_type) return each;
  throw InputError("convert: expected a model that llama.cpp has, found model_type \"" + config.model_type + "\"");
}

/// Where each row of a map of `heads` heads comes from, of whose rows [a, b, width] the first two trade places.
std::vector<std::int64_t> swapped(std::int64_t outer, std::int64_t a, std::int64_t b, std::int64_t width) {
  std::vector<std::int64_t> order;
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t j = 0; j < b; ++j)
      for (std::int64_t i = 0; i < a; ++i)
        for (std::int64_t w = 0; w < width; ++w) order.push_back(((o * a + i) * b + j) * width + w);
  return order;
}

}  // namespace

std::string gguf_architecture(const ModelConfig& config) { return std::string(architecture_of(config).name); }

GgufMap gguf_map(const LinearShape& map, const ModelConfig& config) {
  const Architecture& architecture = architecture_of(config);
  if (map.is_embedding) return {"token_embd.weight"};
  if (map.is_head) return {"output.weight"};
  std::optional<LayerName> name = layer_name(map.name);
  std::string_view tail = name ? name->tail : std::string_view();
  auto found = std::find_if(ends.begin(), ends.end(), [&](const auto& pair) { return pair.first == tail; });
  if (!name || found == ends.end())
    throw InputError("convert: " + map.name + ": expected a linear map that llama.cpp has a name for, found none");
  GgufMap result{"blk." + std::to_string(name->layer) + "." + std::string(found->second) + ".weight"};
  std::int64_t dim = config.head_dim, heads = dim > 0 ? map.out / dim : 0;
  if (architecture.reorders_q_and_k && (found->second == "attn_q" || found->second == "attn_k"))
    result.order = swapped(heads, 2, dim / 2, 1);
  if (architecture.name == "gptneox" && found->second == "attn_qkv") result.order = swapped(1, heads / 3, 3, dim);
  return result;
}

}  // namespace loragrad

#include "models/files/base_hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "engine/error.h"
#include "io/fnv.h"
#include "io/stored_values.h"
#include "lora/text_part.h"

namespace loragrad {
namespace {

/// A large parameter is known by this many stretches of values, evenly spread from its first to its last.
constexpr std::size_t stretches = 4, stretch = 1024;

void add_values(Fnv1a& hash, const StoredTensor& tensor) {
  std::size_t count = tensor.byte_count / size_of(tensor.dtype());
  auto add = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      hash.add_number(bf16(static_cast<float>(stored_value(tensor.bytes, tensor.dtype(), i))).bits);
  };
  if (count <= stretches * stretch) return add(0, count);
  for (std::size_t i = 0; i < stretches; ++i) {
    std::size_t begin = (count - stretch) * i / (stretches - 1);
    add(begin, begin + stretch);
  }
}

/// Details that every base's hash has said from the first on, where it does not say otherwise.
constexpr std::array flags{std::pair{"do_layer_norm_before", 1.0}, std::pair{"_remove_final_layer_norm", 0.0},
                           std::pair{"scale_attn_weights", 1.0}, std::pair{"scale_attn_by_inverse_layer_idx", 0.0}};

/// What the same parameters can be used in different ways by. Six digits: the last ones of a frequency are the maths
/// library's.
std::string config_text(const ModelConfig& c) {
  constexpr std::array activations{"relu", "gelu", "gelu_tanh", "silu"};
  std::string text = fmt::format("{} {} {} {} {:.6g} {}", c.model_type, c.num_attention_heads, c.num_key_value_heads,
                                 c.head_dim, c.norm_eps, activations.at(static_cast<std::size_t>(c.activation)));
  auto is_flag = [](const std::string& name) {
    return std::any_of(flags.begin(), flags.end(), [&](const auto& flag) { return name == flag.first; });
  };
  for (const auto& [name, otherwise] : flags) {
    const std::vector<double>* said = c.detail(name);
    text += fmt::format(" {}", said ? said->at(0) : otherwise);
  }
  for (const auto& [name, values] : c.details) {
    if (is_flag(name)) continue;
    if (name != "rope_frequencies") text += " " + name;
    for (double value : values) text += fmt::format(" {:.6g}", value);
  }
  return text;
}

}  // namespace

std::string base_hash(const CausalLm& model, const BaseTensors& tensors) {
  Fnv1a hash;
  hash.add(config_text(model.config()));
  // Of a text part they are those of the model by itself.
  std::vector<std::string> names;
  for (const auto& [name, parameter] : model.parameters()) names.push_back(spelled(name, Spelling::itself));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const StoredTensor* tensor = tensors.find_tied(name);
    if (!tensor) throw InputError(name + ": expected a tensor of the model, found none");
    hash.add(fmt::format("\n{} {}\n", name, tensor->shape_text()));
    add_values(hash, *tensor);
  }
  return hash.text();
}

}  // namespace loragrad

#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "engine/random.h"
#include "io/safetensors.h"
#include "lora/adapter.h"
#include "tests/device/test_device.h"
#include "tests/io/support.h"

namespace loragrad::test {

/// The maps of a small Llama: grouped keys and values, a wide MLP.
inline std::vector<LinearShape> llama_shapes(int layers = 2, std::int64_t d = 16) {
  std::vector<LinearShape> all;
  for (int i = 0; i < layers; ++i) {
    std::string block = "model.layers." + std::to_string(i) + ".";
    all.push_back({block + "self_attn.q_proj", d, d});
    all.push_back({block + "self_attn.k_proj", d, d / 2});
    all.push_back({block + "self_attn.v_proj", d, d / 2});
    all.push_back({block + "self_attn.o_proj", d, d});
    all.push_back({block + "mlp.gate_proj", d, 2 * d});
    all.push_back({block + "mlp.up_proj", d, 2 * d});
    all.push_back({block + "mlp.down_proj", 2 * d, d});
  }
  return all;
}

inline std::vector<std::string> names_of(const std::vector<LinearShape>& shapes) {
  std::vector<std::string> names;
  for (const LinearShape& shape : shapes) names.push_back(shape.name);
  return names;
}

inline void fill_normal(Tensor& tensor, std::uint64_t seed) {
  Random random(seed, 7);
  change_values<float>(tensor, [&](auto& values) {
    for (float& value : values) value = static_cast<float>(random.normal());
  });
}

/// An adapter whose B is not zero, as after training.
inline Adapter trained_adapter(const LoraConfig& config, const std::vector<LinearShape>& all, std::uint64_t seed = 5) {
  Adapter adapter = make_adapter(test_device(1), config, all, seed);
  for (LoraModule& module : adapter.modules) fill_normal(module.b, ++seed);
  return adapter;
}

}  // namespace loragrad::test

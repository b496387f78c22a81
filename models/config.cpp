#include "models/config.h"

#include <cmath>

namespace loragrad {

AttentionConfig ModelConfig::attention() const {
  return {num_attention_heads, num_key_value_heads, head_dim, 0, 1 / std::sqrt(static_cast<double>(head_dim))};
}

const std::vector<double>* ModelConfig::detail(const std::string& name) const {
  for (const auto& [key, value] : details)
    if (key == name) return &value;
  return nullptr;
}

}  // namespace loragrad

#include "models/config.h"

#include <cmath>

namespace loragrad {

AttentionConfig ModelConfig::attention() const {
  return {num_attention_heads, num_key_value_heads, head_dim, 0, 1 / std::sqrt(static_cast<double>(head_dim))};
}

}  // namespace loragrad

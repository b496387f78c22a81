#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// Keys and values of the tokens so far, for decoding one row. Made by CausalLm::make_cache.
struct KeyValueCache {
  std::vector<Tensor> k, v;  ///< per layer [capacity, n_kv_head * head_dim]
  std::int64_t length = 0, capacity = 0;
};

}  // namespace loragrad

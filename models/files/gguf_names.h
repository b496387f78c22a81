#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lora/adapter.h"
#include "models/config.h"

namespace loragrad {

/// A linear map, or the embedding, as llama.cpp's files have it.
struct GgufMap {
  std::string name;  ///< "blk.0.attn_q.weight"
  /// Row i of its weight there is row order[i] of ours; empty: the rows are in our order.
  std::vector<std::int64_t> order = {};
};

/// general.architecture. InputError for a family that llama.cpp does not have.
std::string gguf_architecture(const ModelConfig& config);

/// By the tables of llama.cpp's converter. For rotary positions on neighbouring dimensions it reorders the rows of q and
/// k of Llama, Mistral, Granite and SmolLM3, head by head: (half, i) goes to (i, half); and of GPT-NeoX's fused map, where
/// each head has its q, k and v, all heads' q come first. InputError for a map that it has no name for.
GgufMap gguf_map(const LinearShape& map, const ModelConfig& config);

}  // namespace loragrad

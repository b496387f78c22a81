#pragma once
#include <string>
#include <vector>

#include "lora/adapter.h"
#include "models/config.h"

namespace loragrad {

/// llama.cpp's adapter of a model: a GGUF file with general.type "adapter", adapter.type "lora", adapter.lora.alpha, and
/// for each map (models/files/gguf_names.h) MAP.lora_a [r, in] and MAP.lora_b [out, r], of the embedding [vocab, r] and [d, r];
/// a map is scaled by alpha / r.

/// InputError for a file that is none, one of another architecture or kind, an alpha or tensors with NaN or Inf, tensors of
/// other shapes or of no module of `all` (all named).
Adapter read_gguf_adapter(const std::string& path, const std::vector<LinearShape>& all, const ModelConfig& config,
                          const DevicePtr& device);

/// Writes an adapter of one scale (lora/merge/one_scale.h), in f32. NumericError for NaN and Inf, and for an
/// alpha of zero, which llama.cpp takes for none; then there is no file.
void write_gguf_adapter(const Adapter& adapter, const ModelConfig& config, const std::string& path);

}  // namespace loragrad

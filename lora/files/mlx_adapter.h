#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// mlx-lm's adapter folder: adapters.safetensors with NAME.lora_a [in, r] and NAME.lora_b [r, out], of an embedding
/// [vocab, r] and [r, d], and an adapter_config.json {"fine_tune_type": "lora", "num_layers", "lora_parameters": {"rank",
/// "scale", "dropout", "keys"}}: one rank and scale for all, `keys` the names within a layer, in the last num_layers layers,
/// or whole names.

/// Whether a folder holds one.
bool is_mlx_adapter(const std::string& folder);

/// The adapter as modules of `all`, on `device`. InputError for another fine_tune_type, for tensors that are none of
/// those (all named), of other shapes or of no module of the model, for NaN and Inf. A module that is all zeros is left
/// out: mlx-lm has no other way to say that a layer has none.
Adapter read_mlx_adapter(const std::string& folder, const std::vector<LinearShape>& all, const DevicePtr& device);

/// Writes an adapter of one scale (lora/merge/one_scale.h) into an existing folder. `all` are the maps of a model of `layers`
/// layers: what a key names in a layer that has no such module gets zeros. InputError for a model whose maps mlx-lm
/// names otherwise; NumericError for NaN and Inf. Neither leaves a file behind.
void write_mlx_adapter(const Adapter& adapter, const std::vector<LinearShape>& all, std::int64_t layers,
                       const std::string& folder);

}  // namespace loragrad

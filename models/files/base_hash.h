#pragma once
#include <string>

#include "models/files/base_tensors.h"

namespace loragrad {

/// What tells one base from another: 16 hexadecimal digits, a hash of what the configuration says of the computation
/// and of some values of every parameter (docs/formats.md has the definition). The same for a model in other shards or
/// in another folder, for a config.json in another layout or dialect, and for f32 values or the same rounded to bf16;
/// not for one whose weights were trained or merged.
std::string base_hash(const CausalLm& model, const BaseTensors& tensors);

}  // namespace loragrad

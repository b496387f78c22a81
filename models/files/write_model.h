#pragma once
#include <string>

#include "models/model.h"

namespace loragrad {

/// Writes into the existing folder `folder` a model that transformers loads: all parameters under their stored names,
/// in the dtypes they have here (f32 where trained), config.json with that dtype, and the tokenizer's and generation's
/// files of `base_folder`. IoError for what cannot be read or written.
void write_model(const CausalLm& model, const std::string& base_folder, const std::string& folder);

}  // namespace loragrad

#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <string>
#include <string_view>

#include "lora/config.h"

namespace loragrad {

/// Whether an entry of trainable_token_indices means a module: by its name or the end of it, with or without a dot
/// before it, as in PEFT.
bool is_module_of(const TrainableTokens& entry, std::string_view module, bool is_embedding);

/// UsageError for an empty list, or a token that is in one twice.
void check_token_indices(const LoraConfig& config);

}  // namespace loragrad

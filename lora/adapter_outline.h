#pragma once
#include <string>
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// The linear maps that a PEFT adapter folder's own tensors are for, sorted by name: what load_adapter takes where there
/// is no model to ask. fan_in_fan_out says how the base stores them. Whether a base has a bias is not known: none has.
/// Errors are those of AdapterTensors and of adapter_config.json.
std::vector<LinearShape> adapter_outline(const std::string& folder);

}  // namespace loragrad

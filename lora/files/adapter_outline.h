#pragma once
#include <string>
#include <vector>

#include "lora/adapter.h"
#include "lora/files/adapter_tensors.h"

namespace loragrad {

/// The linear maps that a PEFT adapter folder's own tensors are for, sorted by name: what load_adapter takes where there
/// is no model to ask. fan_in_fan_out says how the base stores them. Whether a base has a bias is not known: none has.
/// Errors are those of AdapterTensors and of adapter_config.json.
std::vector<LinearShape> adapter_outline(const std::string& folder);

/// The tables that PEFT writes beside an adapted embedding or head, of adapter folders of one base: that base's, as far as there
/// is no model to ask. Where several folders have one, the first's is given.
FindBaseTensor tables_beside(const std::vector<std::string>& folders);

}  // namespace loragrad

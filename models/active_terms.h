#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <string>

#include "lora/lora_linear.h"
#include "models/pass.h"

namespace loragrad {

/// What the adapters of a pass add to the map that is called `name`, each in the rows that it is for.
void add_active_terms(LoraMap& map, const std::string& name, const Pass& pass);

}  // namespace loragrad

#pragma once
#include "io/json.h"
#include "train/train_state.h"

namespace loragrad {

/// A state without its tensors. Numbers that are not finite are null in a file (result_text).
Json::Object state_json(const TrainState& state);
/// InputError for what state_json does not write.
TrainState read_state(const JsonRef& json);

}  // namespace loragrad

#pragma once
#include "io/json.h"

namespace loragrad {

/// What `inspect --devices` says: the processor and the GPUs.
Json devices_json();
/// The same for people.
void print_devices();

}  // namespace loragrad

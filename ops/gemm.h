#pragma once
#include "engine/device.h"

namespace loragrad {

/// Runs the device's GEMM with the workspace it asks for.
void gemm(Device& device, const GemmArgs& args);

}  // namespace loragrad

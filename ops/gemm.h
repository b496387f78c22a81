#pragma once
#include "engine/device.h"

namespace loragrad {

/// c = alpha op(a) op(b) + bias + beta c on the device, as engine/kernels.h says.
void gemm(Device& device, const GemmArgs& args);

}  // namespace loragrad

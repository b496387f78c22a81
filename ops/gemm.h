#pragma once
#include "engine/device.h"

namespace loragrad {

/// c = alpha op(a) op(b) + bias + beta c on the device, as engine/kernels.h says.
void gemm(Device& device, const GemmArgs& args);

/// ShapeError naming the three shapes unless op(a) op(b) is a product that c takes, UsageError for rows_alone beside
/// transpose_a: for the devices' kernels.
void check_gemm(const GemmArgs& args);

}  // namespace loragrad

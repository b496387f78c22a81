#include "ops/gemm.h"

namespace loragrad {

void gemm(Device& device, const GemmArgs& args) { device.kernels().gemm(device, args); }

}  // namespace loragrad

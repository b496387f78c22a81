#include "ops/gemm.h"

namespace loragrad {

void gemm(Device& device, const GemmArgs& args) {
  Workspace workspace(device, device.kernels().gemm_workspace(device, args));
  device.kernels().gemm(device, args, workspace.data());
}

}  // namespace loragrad

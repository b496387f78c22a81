#include "tests/cuda_emulation/emulated_device.h"

#include "ops/cuda/cuda_device.h"

namespace loragrad::test {

DevicePtr emulated_device(bool single_blocks) { return loragrad::cuda::cuda_device({.single_blocks = single_blocks}); }

}  // namespace loragrad::test

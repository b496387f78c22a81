#include "tests/device/test_device.h"

#include <cstdlib>
#include <string>

#include "engine/error.h"
#include "ops/cpu/cpu_device.h"
#include "ops/cuda/cuda_device.h"
#include "tests/cuda_emulation/emulated_device.h"
#include "tests/device/walled_device.h"

namespace loragrad {

DevicePtr test_device(int threads) {
  const char* given = std::getenv("LORAGRAD_TEST_DEVICE");
  std::string name = given ? given : "cpu";
  if (name == "cpu") return cpu_device(threads);
  if (name == "walled") return test::walled_device(threads);
  if (name == "cuda") return cuda::cuda_device({.single_blocks = true});
  if (name == "cuda-emulated") return test::emulated_device();
  throw UsageError("LORAGRAD_TEST_DEVICE: expected cpu, walled, cuda or cuda-emulated, found " + name);
}

}  // namespace loragrad

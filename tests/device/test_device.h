#pragma once
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// The device that a suite runs on: the processor, or by LORAGRAD_TEST_DEVICE tests/device/walled_device.h's (walled), a
/// GPU (cuda), or the GPU's backend in emulation (cuda-emulated).
DevicePtr test_device(int threads = 0);

/// Puts back on the device what change(values) makes of a tensor's values on the host.
template <class T, class Change>
void change_values(Tensor tensor, Change change) {
  std::vector<T> values = tensor.values<T>();
  change(values);
  tensor.set_values(std::move(values));
}

}  // namespace loragrad

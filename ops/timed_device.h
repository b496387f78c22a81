#pragma once
#include <functional>
#include <string_view>

#include "engine/device.h"

namespace loragrad {

/// One call of a kernel that is done.
struct KernelCall {
  std::string_view name = {};  ///< of its entry in the table (engine/kernels.h)
  double seconds = 0;          ///< that the device took (Device::seconds_of)
  // What multiplies, where it does.
  const GemmArgs* gemm = nullptr;
  const HeadLossArgs* head_loss = nullptr;
};
using KernelObserver = std::function<void(const KernelCall&)>;

/// The device `like` (its memory, name and results) with an observer that is told of every kernel call, from the thread
/// that runs ops. Each call is waited for. Who asks for no times uses `like` itself, so that measuring costs nothing
/// where it is not wanted.
DevicePtr timed_device(const DevicePtr& like, KernelObserver observer);

}  // namespace loragrad

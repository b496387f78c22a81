#pragma once
#include <string>

#include "engine/device.h"

namespace loragrad::bench {

/// Takes `--device NAME` out of a program's words; "cpu" where it is not among them.
std::string take_device(int& count, char** words);

/// cpu, or cuda: the first GPU. `threads` (0: all) are the processor's. UsageError for any other name, and where there is
/// no GPU.
DevicePtr open_device(const std::string& name, int threads = 0);

}  // namespace loragrad::bench

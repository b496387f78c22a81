#pragma once
// Threads: any may make a device; one at a time uses it.
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "engine/device.h"

namespace loragrad::cuda {

/// One of the machine's GPUs.
struct GpuInfo {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  std::size_t memory = 0;    ///< bytes
  std::string unfit;         ///< why it is not used; empty where it is
};

/// What the machine has for CUDA.
struct Machine {
  std::vector<GpuInfo> gpus;
  std::string lack;         ///< why there is none that may be used, in one line; empty where there is one
  bool has_driver = false;  ///< NVIDIA's: where it is there and no GPU may be used, something is not as it should be
};
/// Asks the driver once; never throws.
const Machine& machine();

/// Bytes of a GPU's memory that nobody has taken. The process gets a context there, which takes some itself and stays.
/// IoError where that fails.
std::size_t free_memory(int gpu);

/// How a GPU is used.
struct GpuOptions {
  int index = 0;               ///< of the machine's GPUs
  std::size_t limit = 0;       ///< bytes of its memory that may be taken; 0: all that is free
  bool tf32 = false;           ///< products of f32 may round their operands to TF32
  bool single_blocks = false;  ///< each tensor is one allocation of the driver's: for memory checkers
};

/// The GPU as a device. UsageError where it is not there, IoError where something that it needs is missing: one line.
DevicePtr cuda_device(const GpuOptions& options = {});

}  // namespace loragrad::cuda

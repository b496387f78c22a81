#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/flags/flags.h"
#include "engine/device.h"
#include "engine/error.h"

namespace loragrad {

/// A device as --device chose it.
class ChosenDevice {
 public:
  /// `threads`: of the processor where it takes this one's place, which it may where the choice was auto's.
  ChosenDevice(DevicePtr device, int threads, bool may_change = false)
      : device_(std::move(device)), threads_(threads), may_change_(may_change) {}
  const DevicePtr& device() const { return device_; }

  /// work(device). Where it finds the device too small, and auto took it, the processor goes on, with a warning.
  template <class Work>
  auto on_what_fits(Work work) {
    try {
      return work(device_);
    } catch (const OutOfMemory& error) {
      if (!may_change_) throw;
      change(error.what());
    }
    return work(device_);
  }

 private:
  void change(const std::string& reason);

  DevicePtr device_;
  int threads_;
  bool may_change_;
};

/// What a command computes on, as flags.
struct DeviceFlags {
  std::string choice = "auto";
  bool tf32 = false;
  std::int64_t threads = 0;

  /// --device and --threads, and where it `takes_tf32` --tf32.
  void add(Flags& flags, bool takes_tf32 = true);
  /// auto takes the first GPU that may be used, and says so; where a driver is there and no such GPU, why not. A GPU
  /// takes no more than `limit` bytes of its memory. UsageError where the GPU that is asked for is not there, and for
  /// --tf32 without one; IoError where something that it needs is missing.
  ChosenDevice open(std::optional<std::size_t> limit = {}) const;
  /// What computes there, in words that differ where results may, by the last bits: "cpu, avx512_bf16 by oneDNN 2.6.3".
  std::string words(const Device& device) const;
  /// Of the processor: as the flag says, or all that may be used.
  int thread_count() const;
};

/// The machine's GPUs, as `inspect --devices` lists them.
struct GpuFacts {
  int index = 0;
  std::string name, capability, unfit;  ///< `unfit`: why it is not used; empty where it is
  std::size_t memory = 0;               ///< bytes
  std::optional<std::size_t> free;      ///< where the driver says it
};
struct GpusFound {
  std::vector<GpuFacts> gpus;
  std::string lack;  ///< why none may be used; empty where one may
};
GpusFound find_gpus();

}  // namespace loragrad

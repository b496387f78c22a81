#pragma once
// Threads: one at a time uses a device and what lies on it; several devices may be used at once.
#include <cstddef>
#include <memory>
#include <string_view>

#include "engine/kernels.h"
#include "engine/memory.h"
#include "engine/threads.h"

namespace loragrad {

/// A piece of a device's memory: its address (null where there is no memory), and its place in the device's stretch.
struct MemoryBlock {
  void* data = nullptr;
  std::size_t offset = 0;
};

/// Where tensors live and ops run: memory, a kernel table and threads. Created by the program (cpu_device,
/// meta_device), kept alive by every tensor on it. One thread at a time runs ops on a device.
class Device {
 public:
  virtual ~Device() = default;
  virtual std::string_view name() const = 0;
  /// True for the device that only counts: its tensors have no memory (data() is null).
  virtual bool is_meta() const { return false; }
  /// 64-byte aligned, uninitialised; IoError when memory runs out.
  virtual MemoryBlock allocate(std::size_t bytes) = 0;
  virtual void release(MemoryBlock block, std::size_t bytes) noexcept = 0;
  /// The bytes of memory it has come to hold: blocks lie in one stretch whose pages stay, so this is how far they have
  /// reached, gaps between them included.
  virtual std::size_t footprint() const = 0;
  virtual void upload(void* to, const void* from_host, std::size_t bytes) = 0;
  virtual void download(void* to_host, const void* from, std::size_t bytes) = 0;
  /// True when the device multiplies bf16 matrices natively.
  virtual bool has_bf16() const = 0;

  const Kernels& kernels() const { return *kernels_; }
  MemoryMeter& memory() { return memory_; }
  ThreadPool& threads() { return threads_; }

 protected:
  Device(const Kernels& kernels, int threads) : kernels_(&kernels), threads_(threads) {}

 private:
  const Kernels* kernels_;
  MemoryMeter memory_;
  ThreadPool threads_;
};
using DevicePtr = std::shared_ptr<Device>;

/// Scratch space for one kernel call, counted like a tensor and given back at the end of the scope.
class Workspace {
 public:
  Workspace(Device& device, std::size_t bytes) : device_(device), bytes_(bytes) {
    if (bytes == 0) return;
    block_ = device.allocate(bytes);
    device.memory().add(bytes);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() {
    if (bytes_ == 0) return;
    device_.release(block_, bytes_);
    device_.memory().remove(bytes_);
  }
  void* data() const { return block_.data; }

 private:
  Device& device_;
  std::size_t bytes_;
  MemoryBlock block_;
};

template <class Args>
void Kernel<Args>::operator()(Device& device, const Args& args) const {
  Workspace workspace(device, scratch(device, args));
  run(device, args, workspace.data());
}

}  // namespace loragrad

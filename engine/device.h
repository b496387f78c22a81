#pragma once
// Threads: one at a time uses a device and what lies on it; several devices may be used at once.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "engine/dtype.h"
#include "engine/kernels.h"
#include "engine/memory.h"

namespace loragrad {

/// A piece of a device's memory: its address (null where there is no memory), and its place in the device's stretch.
struct MemoryBlock {
  void* data = nullptr;
  std::size_t offset = 0;
};

/// Host memory that a device reads, now or later: it stays as it is while `keep_alive` lives. Where it is a mapped
/// file's, `file` is its open descriptor (as long as `keep_alive` lives), and the bytes begin there at `file_offset`.
struct HostBytes {
  const void* data = nullptr;
  std::size_t size = 0;
  std::shared_ptr<const void> keep_alive = {};
  int file = -1;
  std::size_t file_offset = 0;
};

/// What decides how much a run takes beside its tensors.
struct RunSize {
  std::size_t batch_shapes = 1;  ///< different numbers of tokens that its batches have
  std::int64_t longest = 0;      ///< dimension of the model's products
  DType products = DType::f32;   ///< type of their operands
};

/// Where tensors live and ops run: memory, a kernel table, and how work is run. Created by the program (cpu_device,
/// meta_device), kept alive by every tensor on it. One thread at a time runs ops on a device.
///
/// Kernels and uploads may run later than they are called, in the order of the calls, as on a stream: only a download
/// waits. So device memory is read and written by kernels, uploads and downloads alone. On the processor everything
/// runs at once, and device memory is host memory; tests/device has one where it is not.
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
  /// The most that footprint() may become: of a device with memory of its own, what may be taken of that. Others have no
  /// figure, and say the largest number.
  virtual std::size_t capacity() const = 0;
  /// Copies to device memory; the host's bytes may be read as late as by the next download.
  virtual void upload(void* to, HostBytes from) = 0;
  /// Waits for all that was called before, and copies to the host.
  void download(void* to_host, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    ++waits_;
    read_back(to_host, from, bytes);
  }
  /// Downloads so far: each stops the stream.
  std::uint64_t waits() const { return waits_; }
  /// True where the device's memory and the host's are one: kernels read mapped files as they lie (engine/place.h), and
  /// the host reads results where they are.
  virtual bool shares_host_memory() const = 0;
  /// Bytes that a run takes beside tensors, mapped files and what was there before it: of the device's own memory, where
  /// it has some.
  virtual std::size_t run_bytes(const RunSize& run) const = 0;
  /// True when the device multiplies bf16 matrices natively.
  virtual bool has_bf16() const = 0;
  /// The seconds that the device takes for what `work` calls, and for nothing else. Waits for it.
  virtual double seconds_of(const std::function<void()>& work) = 0;

  const Kernels& kernels() const { return *kernels_; }
  MemoryMeter& memory() { return memory_; }

 protected:
  explicit Device(const Kernels& kernels) : kernels_(&kernels) {}
  virtual void read_back(void* to_host, const void* from, std::size_t bytes) = 0;

 private:
  const Kernels* kernels_;
  MemoryMeter memory_;
  std::uint64_t waits_ = 0;
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

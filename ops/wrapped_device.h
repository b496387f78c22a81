#pragma once
#include <functional>
#include <utility>

#include "engine/device.h"

namespace loragrad {

/// A device that is another in everything but its kernels: what is derived from it brings the table. Bytes are counted
/// by its own meter, and waits counted by itself.
class WrappedDevice : public Device {
 public:
  std::string_view name() const override { return like_->name(); }
  bool is_meta() const override { return like_->is_meta(); }
  MemoryBlock allocate(std::size_t bytes) override { return like_->allocate(bytes); }
  void release(MemoryBlock block, std::size_t bytes) noexcept override { like_->release(block, bytes); }
  std::size_t footprint() const override { return like_->footprint(); }
  std::size_t capacity() const override { return like_->capacity(); }
  void upload(void* to, HostBytes from) override { like_->upload(to, std::move(from)); }
  bool shares_host_memory() const override { return like_->shares_host_memory(); }
  std::size_t run_bytes(const RunSize& run) const override { return like_->run_bytes(run); }
  bool has_bf16() const override { return like_->has_bf16(); }
  double seconds_of(const std::function<void()>& work) override { return like_->seconds_of(work); }
  Device& like() { return *like_; }

 protected:
  WrappedDevice(const Kernels& kernels, DevicePtr like) : Device(kernels), like_(std::move(like)) {}
  void read_back(void* to, const void* from, std::size_t bytes) override { like_->download(to, from, bytes); }

 private:
  DevicePtr like_;
};

/// What stands in a wrapper's table for the scratch space of `entry`.
template <auto entry, class Args>
std::size_t scratch_of_like(Device& device, const Args& args) {
  Device& like = static_cast<WrappedDevice&>(device).like();
  return (like.kernels().*entry).scratch(like, args);
}

}  // namespace loragrad

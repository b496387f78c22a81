#pragma once
#include <utility>

#include "engine/device.h"

namespace loragrad {

/// A device that is another in everything but its kernels: what is derived from it brings the table. Bytes are counted
/// by its own meter; kernels of `like` run on the threads of `like`.
class WrappedDevice : public Device {
 public:
  std::string_view name() const override { return like_->name(); }
  bool is_meta() const override { return like_->is_meta(); }
  MemoryBlock allocate(std::size_t bytes) override { return like_->allocate(bytes); }
  void release(MemoryBlock block, std::size_t bytes) noexcept override { like_->release(block, bytes); }
  std::size_t footprint() const override { return like_->footprint(); }
  void upload(void* to, const void* from, std::size_t bytes) override { like_->upload(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) override { like_->download(to, from, bytes); }
  bool has_bf16() const override { return like_->has_bf16(); }
  Device& like() { return *like_; }

 protected:
  WrappedDevice(const Kernels& kernels, DevicePtr like) : Device(kernels, 1), like_(std::move(like)) {}

 private:
  DevicePtr like_;
};

/// What stands in a wrapper's table for the scratch space of `entry`.
template <auto entry, class Args>
std::size_t scratch_of_like(Device& device, const Args& args) {
  Device& like = static_cast<WrappedDevice&>(device).like();
  return (like.kernels().*entry).scratch(like, args);
}

/// Threads that the kernels of `device` run on.
inline int kernel_threads(Device& device) {
  auto* wrapped = dynamic_cast<WrappedDevice*>(&device);
  return wrapped ? kernel_threads(wrapped->like()) : device.threads().size();
}

}  // namespace loragrad

#include "tests/device/walled_device.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "engine/error.h"
#include "ops/cpu/cpu_device.h"
#include "tests/device/kernel_addresses.h"
#include "tests/device/walled_memory.h"
#include "tests/device/wrapped_kernels.h"

namespace loragrad::test {
namespace {

class WalledDevice final : public WrappedDevice {
 public:
  explicit WalledDevice(int threads);
  std::string_view name() const override { return "walled"; }
  MemoryBlock allocate(std::size_t bytes) override { return memory_.allocate(bytes); }
  void release(MemoryBlock block, std::size_t bytes) noexcept override { memory_.release(block, bytes); }
  std::size_t footprint() const override { return memory_.footprint(); }
  bool shares_host_memory() const override { return false; }

  void upload(void* to, HostBytes from) override {
    if (from.size == 0) return;
    if (!from.keep_alive) throw UsageError("upload: expected bytes that something keeps alive until they are read");
    check(to, true);
    check(from.data, false);
    uploads_.emplace_back(to, std::move(from));
  }
  void check(const void* address, bool on_device) const {
    if (memory_.has(address) != on_device)
      throw UsageError(
          std::string("walled device: expected an address in the ") +
          (on_device ? "device's memory, found one in the host's" : "host's memory, found one in the device's"));
  }
  WalledMemory& memory_for_kernel() { return memory_; }
  /// What was called before comes first.
  void finish_uploads() {
    for (const auto& [to, from] : std::exchange(uploads_, {})) std::memcpy(to, from.data, from.size);
  }

 private:
  void read_back(void* to, const void* from, std::size_t bytes) override {
    check(to, false);
    check(from, true);
    WalledMemory::Opening opening(memory_);
    finish_uploads();
    std::memcpy(to, from, bytes);
  }

  WalledMemory memory_;
  std::vector<std::pair<void*, HostBytes>> uploads_;
};

/// Around a kernel.
class Inside {
 public:
  template <class... Args>
  explicit Inside(WrappedDevice& device, const Args&... args)
      : Inside(static_cast<WalledDevice&>(device), [&](auto see) { for_addresses(see, args...); }) {}

 private:
  template <class ForAddresses>
  Inside(WalledDevice& device, ForAddresses for_all)
      : opening_((for_all([&](const void* at, bool on_device) { device.check(at, on_device); }),
                  device.memory_for_kernel())) {
    device.finish_uploads();
  }
  WalledMemory::Opening opening_;
};

WalledDevice::WalledDevice(int threads) : WrappedDevice(wrapped_kernels<Inside>, cpu_device(threads)) {}

}  // namespace

DevicePtr walled_device(int threads) { return std::make_shared<WalledDevice>(threads); }

}  // namespace loragrad::test

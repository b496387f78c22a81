#include "ops/meta_device.h"

#include <limits>

#include "engine/placement.h"
#include "ops/wrapped_device.h"

namespace loragrad {
namespace {

constexpr Kernels table{
#define KERNEL(name, Args) .name = {scratch_of_like<&Kernels::name, Args>, [](Device&, const Args&, void*) {}},
    LORAGRAD_KERNELS(KERNEL)
#undef KERNEL
};

class MetaDevice final : public WrappedDevice {
 public:
  explicit MetaDevice(DevicePtr like) : WrappedDevice(table, std::move(like)) {}
  std::string_view name() const override { return "meta"; }
  bool is_meta() const override { return true; }
  MemoryBlock allocate(std::size_t bytes) override { return {nullptr, placement_.take(bytes)}; }
  void release(MemoryBlock block, std::size_t bytes) noexcept override { placement_.give_back(block.offset, bytes); }
  std::size_t footprint() const override { return placement_.highest(); }
  void upload(void*, HostBytes) override {}

 private:
  void read_back(void*, const void*, std::size_t) override {}

  Placement placement_{std::numeric_limits<std::size_t>::max()};
};

}  // namespace

DevicePtr meta_device(const DevicePtr& like) { return std::make_shared<MetaDevice>(like); }

}  // namespace loragrad

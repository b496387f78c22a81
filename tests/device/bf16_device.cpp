#include "tests/device/bf16_device.h"

#include "tests/device/wrapped_kernels.h"

namespace loragrad::test {
namespace {

struct Nothing {
  Nothing(WrappedDevice&, const auto&, void*) {}
};

class Bf16Device final : public WrappedDevice {
 public:
  explicit Bf16Device(const DevicePtr& like) : WrappedDevice(wrapped_kernels<Nothing>, like) {}
  bool has_bf16() const override { return true; }
};

}  // namespace

DevicePtr bf16_device(const DevicePtr& like) { return std::make_shared<Bf16Device>(like); }

}  // namespace loragrad::test

#include "ops/timed_device.h"

#include <utility>

#include "ops/wrapped_device.h"

namespace loragrad {
namespace {

class TimedDevice final : public WrappedDevice {
 public:
  TimedDevice(DevicePtr like, KernelObserver observer);
  void tell(const KernelCall& call) const { observer_(call); }

 private:
  KernelObserver observer_;
};

KernelCall call_of(const GemmArgs& args) { return {.gemm = &args}; }
KernelCall call_of(const HeadLossArgs& args) { return {.head_loss = &args}; }
KernelCall call_of(const auto&) { return {}; }

/// The same call on the device that is timed, and the telling.
template <auto entry, class Args>
void run_timed(std::string_view name, Device& device, const Args& args, void* scratch) {
  auto& timed = static_cast<TimedDevice&>(device);
  KernelCall call = call_of(args);
  call.name = name;
  call.seconds = timed.like().seconds_of([&] { (timed.like().kernels().*entry).run(timed.like(), args, scratch); });
  timed.tell(call);
}

constexpr Kernels table{
#define KERNEL(name, Args)                                                                              \
  .name = {scratch_of_like<&Kernels::name, Args>, [](Device& device, const Args& args, void* scratch) { \
             run_timed<&Kernels::name>(#name, device, args, scratch);                                   \
           }},
    LORAGRAD_KERNELS(KERNEL)
#undef KERNEL
};

TimedDevice::TimedDevice(DevicePtr like, KernelObserver observer)
    : WrappedDevice(table, std::move(like)), observer_(std::move(observer)) {}

}  // namespace

DevicePtr timed_device(const DevicePtr& like, KernelObserver observer) {
  return std::make_shared<TimedDevice>(like, std::move(observer));
}

}  // namespace loragrad

#include "ops/timed_device.h"

#include <algorithm>
#include <chrono>
#include <type_traits>
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

/// An entry's name as a template's argument.
template <std::size_t N>
struct Name {
  constexpr Name(const char (&from)[N]) { std::copy_n(from, N, text); }
  char text[N];
};

const GemmArgs* product(const GemmArgs& args, const auto&...) { return &args; }
const GemmArgs* product(const auto&...) { return nullptr; }

/// What stands in the table for `entry`: the same call on the device that is timed, and with a name, the telling.
template <auto entry, Name name, class Result, class... Args>
Result call(Device& device, Args... args) {
  auto& timed = static_cast<TimedDevice&>(device);
  auto run = [&] { return (timed.like().kernels().*entry)(timed.like(), args...); };
  if constexpr (sizeof(name.text) == 1) {
    return run();
  } else {
    auto start = std::chrono::steady_clock::now();
    auto tell = [&] {
      std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
      timed.tell({name.text, time.count(), product(args...)});
    };
    if constexpr (std::is_void_v<Result>) {
      run();
      tell();
    } else {
      Result result = run();
      tell();
      return result;
    }
  }
}

template <auto entry, Name name, class Result, class... Args>
constexpr auto pointer_to_call(Result (*Kernels::*)(Device&, Args...)) {
  return &call<entry, name, Result, Args...>;
}

template <auto entry, Name name>
constexpr auto timed = pointer_to_call<entry, name>(entry);
/// Questions about workspaces are passed on and not told.
template <auto entry>
constexpr auto passed_on = pointer_to_call<entry, "">(entry);

constexpr Kernels table{
    .gemm_workspace = passed_on<&Kernels::gemm_workspace>,
    .gemm = timed<&Kernels::gemm, "gemm">,
    .accumulate = timed<&Kernels::accumulate, "accumulate">,
    .add = timed<&Kernels::add, "add">,
    .column_sum = timed<&Kernels::column_sum, "column_sum">,
    .squared_norm = timed<&Kernels::squared_norm, "squared_norm">,
    .dropout = timed<&Kernels::dropout, "dropout">,
    .activation = timed<&Kernels::activation, "activation">,
    .activation_backward = timed<&Kernels::activation_backward, "activation_backward">,
    .gated = timed<&Kernels::gated, "gated">,
    .gated_backward = timed<&Kernels::gated_backward, "gated_backward">,
    .norm = timed<&Kernels::norm, "norm">,
    .norm_backward_workspace = passed_on<&Kernels::norm_backward_workspace>,
    .norm_backward = timed<&Kernels::norm_backward, "norm_backward">,
    .rope = timed<&Kernels::rope, "rope">,
    .attention_workspace = passed_on<&Kernels::attention_workspace>,
    .attention = timed<&Kernels::attention, "attention">,
    .attention_backward_workspace = passed_on<&Kernels::attention_backward_workspace>,
    .attention_backward = timed<&Kernels::attention_backward, "attention_backward">,
    .embedding = timed<&Kernels::embedding, "embedding">,
    .embedding_backward = timed<&Kernels::embedding_backward, "embedding_backward">,
    .cross_entropy = timed<&Kernels::cross_entropy, "cross_entropy">,
    .adamw = timed<&Kernels::adamw, "adamw">,
};

TimedDevice::TimedDevice(DevicePtr like, KernelObserver observer)
    : WrappedDevice(table, std::move(like)), observer_(std::move(observer)) {}

}  // namespace

DevicePtr timed_device(const DevicePtr& like, KernelObserver observer) {
  return std::make_shared<TimedDevice>(like, std::move(observer));
}

}  // namespace loragrad

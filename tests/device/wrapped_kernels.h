#pragma once
#include "ops/wrapped_device.h"

namespace loragrad::test {

/// What stands in a table for `entry` of the wrapped device's: the same call there, with a `Around{device,
/// arguments...}` alive while it runs.
template <auto entry, class Around, class Result, class... Args>
Result call_wrapped(Device& device, Args... args) {
  auto& wrapped = static_cast<WrappedDevice&>(device);
  Around around(wrapped, args...);
  return (wrapped.like().kernels().*entry)(wrapped.like(), args...);
}

template <auto entry, class Around, class Result, class... Args>
constexpr auto pointer_to_wrapped(Result (*Kernels::*)(Device&, Args...)) {
  return &call_wrapped<entry, Around, Result, Args...>;
}

/// Of questions about scratch space, which compute nothing.
struct Nothing {
  template <class... Args>
  explicit Nothing(WrappedDevice&, const Args&...) {}
};

/// A table for a WrappedDevice, all of whose kernels run with an Around.
template <class Around>
constexpr Kernels wrapped_kernels() {
  Kernels table{};
  auto run = [&]<auto entry>() { table.*entry = pointer_to_wrapped<entry, Around>(entry); };
  auto ask = [&]<auto entry>() { table.*entry = pointer_to_wrapped<entry, Nothing>(entry); };
  ask.template operator()<&Kernels::gemm_workspace>();
  run.template operator()<&Kernels::gemm>();
  run.template operator()<&Kernels::accumulate>();
  run.template operator()<&Kernels::add>();
  run.template operator()<&Kernels::column_sum>();
  run.template operator()<&Kernels::squared_norm>();
  run.template operator()<&Kernels::dropout>();
  run.template operator()<&Kernels::activation>();
  run.template operator()<&Kernels::activation_backward>();
  run.template operator()<&Kernels::gated>();
  run.template operator()<&Kernels::gated_backward>();
  run.template operator()<&Kernels::norm>();
  ask.template operator()<&Kernels::norm_backward_workspace>();
  run.template operator()<&Kernels::norm_backward>();
  run.template operator()<&Kernels::rope>();
  ask.template operator()<&Kernels::attention_workspace>();
  run.template operator()<&Kernels::attention>();
  ask.template operator()<&Kernels::attention_backward_workspace>();
  run.template operator()<&Kernels::attention_backward>();
  run.template operator()<&Kernels::embedding>();
  run.template operator()<&Kernels::embedding_backward>();
  run.template operator()<&Kernels::cross_entropy>();
  run.template operator()<&Kernels::adamw>();
  return table;
}

}  // namespace loragrad::test

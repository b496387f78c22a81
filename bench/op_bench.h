#pragma once
#include <benchmark/benchmark.h>

#include <functional>
#include <memory>
#include <vector>

#include "bench/op_cases.h"

namespace loragrad::bench {

/// A device, what it does at most, and how its kernels are timed.
class OpBench {
 public:
  virtual ~OpBench() = default;
  virtual DevicePtr device() const = 0;
  virtual std::vector<OpShape> shapes() const = 0;
  /// Bytes/s that are read and written where there are so many of them.
  virtual double memory(double bytes) = 0;
  /// FLOP/s of operands of a type.
  virtual double multiplying(DType dtype) = 0;
  virtual void set(benchmark::internal::Benchmark& benchmark) const = 0;
  /// The timed calls.
  virtual void loop(benchmark::State& state, const std::function<void()>& run) = 0;
};

/// With the device of that name (bench/device_word.h).
std::unique_ptr<OpBench> op_bench(const std::string& device);

}  // namespace loragrad::bench

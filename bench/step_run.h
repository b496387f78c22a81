#pragma once
#include <memory>
#include <vector>

#include "bench/products.h"
#include "bench/step_options.h"
#include "bench/step_times.h"
#include "models/model.h"
#include "ops/cpu/processor.h"
#include "train/trainer.h"

namespace loragrad::bench {

constexpr int step_rank = 16;

/// What runs beside the steps, once after each: the limits. Seconds of the step's products, and FLOP/s of the machine;
/// empty where there is no such thing.
struct StepLimits {
  std::vector<double> tiles, library, fma, bf16_dot;
  void measure(const Products& products, Device& device);
};

/// Training steps of one batch of random rows, each followed by the limits: what a busy machine does to one it does to
/// the other.
class StepRun {
 public:
  explicit StepRun(const StepOptions& options);
  void run();

  /// Parameters that a token is multiplied with, the head's too.
  double multiplied_parameters() const;
  const StepOptions& options() const { return options_; }
  int threads() const { return cpu::threads_of(*device_).size(); }
  std::int64_t tokens() const { return data_.tokens; }
  std::size_t peak_bytes() const { return peak_bytes_; }
  const StepTimes& times() const { return times_; }
  const Products& products() const { return products_; }
  const StepLimits& limits() const { return limits_; }

 private:
  void kernel_called(const KernelCall& call);
  void step_ends(const StepReport& report);

  StepOptions options_;
  DevicePtr device_;
  Products products_;
  std::unique_ptr<CausalLm> model_;
  StepTimes times_;
  Dataset data_;
  StepLimits limits_;
  bool recording_ = true;
  std::size_t peak_bytes_ = 0;
};

}  // namespace loragrad::bench

#include "bench/op_bench.h"

#include <map>

#include "bench/device_rates.h"
#include "bench/device_word.h"
#include "bench/peaks.h"
#include "ops/cpu/cpu_device.h"
#include "ops/cpu/processor.h"

namespace loragrad::bench {
namespace {

const OpShape opt{.name = "opt-125m", .width = 768, .intermediate = 3072, .heads = 12, .kv_heads = 12, .vocab = 50272};
const OpShape smollm2{.name = "smollm2-135m",
                      .width = 576,
                      .intermediate = 1536,
                      .heads = 9,
                      .kv_heads = 3,
                      .vocab = 49152,
                      .gated = true};
const OpShape gemma3{.name = "gemma3-270m",
                     .width = 640,
                     .intermediate = 2048,
                     .heads = 4,
                     .kv_heads = 1,
                     .vocab = 262144,
                     .gated = true};
const OpShape tinyllama{.name = "tinyllama-1.1b",
                        .width = 2048,
                        .intermediate = 5632,
                        .heads = 32,
                        .kv_heads = 4,
                        .vocab = 32000,
                        .gated = true};

class ProcessorBench final : public OpBench {
 public:
  DevicePtr device() const override { return device_; }
  std::vector<OpShape> shapes() const override { return {opt, smollm2, gemma3}; }
  double memory(double bytes) override { return stream_rate(threads_, bytes); }
  double multiplying(DType dtype) override {
    if (dtype == DType::bf16 && device_->has_bf16())
      if (auto rate = bf16_dot_rate(threads_)) return *rate;
    return fma_rate(threads_);
  }
  void set(benchmark::internal::Benchmark& benchmark) const override { benchmark.UseRealTime(); }
  void loop(benchmark::State& state, const std::function<void()>& run) override {
    for (auto _ : state) run();
  }

 private:
  DevicePtr device_ = cpu_device();
  cpu::ThreadPool& threads_ = cpu::threads_of(*device_);
};

/// Limits are measured once, far from the cache; so before each call the cache is filled with something else, which also
/// keeps the GPU busy until what is timed has been called.
class GpuBench final : public OpBench {
 public:
  explicit GpuBench(DevicePtr device) : device_(std::move(device)) {}
  DevicePtr device() const override { return device_; }
  std::vector<OpShape> shapes() const override { return {large(tinyllama), large(smollm2)}; }
  double memory(double) override { return copying_; }
  double multiplying(DType dtype) override {
    auto [at, is_new] = products_.try_emplace(dtype, 0);
    if (is_new) at->second = product_rate(device_, dtype);
    return at->second;
  }
  void set(benchmark::internal::Benchmark& benchmark) const override { benchmark.UseManualTime()->Iterations(30); }
  void loop(benchmark::State& state, const std::function<void()>& run) override {
    for (auto _ : state) {
      device_->kernels().accumulate(*device_, {swept_.matrix(), 1, sweep_.mutable_matrix(), 0});
      state.SetIterationTime(device_->seconds_of(run));
    }
  }

 private:
  static OpShape large(OpShape shape) {
    shape.rows = 8, shape.length = 1024;
    shape.head_tokens = shape.tokens();
    return shape;
  }

  DevicePtr device_;
  double copying_ = copy_rate(device_);
  std::map<DType, double> products_;
  Tensor swept_ = Tensor::zeros(device_, {32 << 10, 1024}, DType::f32),
         sweep_ = Tensor::zeros(device_, {32 << 10, 1024}, DType::f32);
};

}  // namespace

std::unique_ptr<OpBench> op_bench(const std::string& device) {
  if (device == "cpu") return std::make_unique<ProcessorBench>();
  return std::make_unique<GpuBench>(open_device(device));
}

}  // namespace loragrad::bench

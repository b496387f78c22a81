// Each kernel of an op, forward and backward, at the shapes of published models, beside the machine's own limit: what
// memory delivers for as many bytes, or what the processor multiplies, whichever would take longer.
#include <benchmark/benchmark.h>

#include <algorithm>

#include "bench/op_cases.h"
#include "bench/op_report.h"
#include "bench/peaks.h"
#include "ops/cpu/cpu_device.h"
#include "ops/cpu/processor.h"

using namespace loragrad;
using namespace loragrad::bench;

namespace {

const OpShape shapes[] = {
    {.name = "opt-125m", .width = 768, .intermediate = 3072, .heads = 12, .kv_heads = 12, .vocab = 50272},
    {.name = "smollm2-135m",
     .width = 576,
     .intermediate = 1536,
     .heads = 9,
     .kv_heads = 3,
     .vocab = 49152,
     .gated = true}};

double multiply_rate(Device& device, DType dtype) {
  if (dtype == DType::bf16 && device.has_bf16())
    if (auto rate = bf16_dot_rate(cpu::threads_of(device))) return *rate;
  return fma_rate(cpu::threads_of(device));
}

void measure(benchmark::State& state, const DevicePtr& device, const OpCase& op) {
  Operands operands(device);
  std::function<void()> run = op.prepare(operands);
  run();
  double memory = operands.bytes() / stream_rate(cpu::threads_of(*device), operands.bytes());
  double products = operands.flops() > 0 ? operands.flops() / multiply_rate(*device, operands.multiplied()) : 0;
  for (auto _ : state) run();
  using benchmark::Counter;
  auto per_second = [](double value) { return Counter(value, Counter::kIsIterationInvariantRate); };
  if (memory > products)
    state.counters["GB/s"] = per_second(operands.bytes() / 1e9);
  else
    state.counters["GFLOP/s"] = per_second(operands.flops() / 1e9);
  state.counters["of_limit"] = per_second(std::max(memory, products));
}

void register_cases(const DevicePtr& device, const std::string& prefix, const OpCases& cases) {
  for (const OpCase& op : cases)
    benchmark::RegisterBenchmark((prefix + op.name).c_str(),
                                 [device, op](benchmark::State& state) { measure(state, device, op); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  DevicePtr device = cpu_device();
  for (const OpShape& shape : shapes)
    for (DType dtype : {DType::f32, DType::bf16})
      for (auto cases : {product_cases, attention_cases, elementwise_cases, token_cases})
        register_cases(device, shape.name + "/" + std::string(name_of(dtype)) + "/", cases(shape, dtype));
  OpReport report;
  benchmark::RunSpecifiedBenchmarks(&report);
  benchmark::Shutdown();
}

// Each kernel of an op, forward and backward, at the shapes of published models, beside the machine's own limit: what
// memory delivers for as many bytes, or what the processor or the GPU multiplies, whichever would take longer.
//   ops [--device cpu|cuda] [google-benchmark's flags]
#include <benchmark/benchmark.h>

#include <algorithm>

#include "bench/device_word.h"
#include "bench/op_bench.h"
#include "bench/op_report.h"
#include "engine/error.h"

using namespace loragrad;
using namespace loragrad::bench;

namespace {

void measure(benchmark::State& state, OpBench& bench, const OpCase& op) {
  Operands operands(bench.device());
  std::function<void()> run = op.prepare(operands);
  run();
  double memory = operands.bytes() / bench.memory(operands.bytes());
  double products = operands.flops() > 0 ? operands.flops() / bench.multiplying(operands.multiplied()) : 0;
  bench.loop(state, run);
  using benchmark::Counter;
  auto per_second = [](double value) { return Counter(value, Counter::kIsIterationInvariantRate); };
  if (memory > products)
    state.counters["GB/s"] = per_second(operands.bytes() / 1e9);
  else
    state.counters["GFLOP/s"] = per_second(operands.flops() / 1e9);
  state.counters["of_limit"] = per_second(std::max(memory, products));
}

void register_cases(OpBench& bench, const std::string& prefix, const OpCases& cases) {
  for (const OpCase& op : cases)
    bench.set(*benchmark::RegisterBenchmark((prefix + op.name).c_str(), [&bench, op](benchmark::State& state) {
                 measure(state, bench, op);
               })->Unit(benchmark::kMicrosecond));
}

}  // namespace

int main(int argc, char** argv) try {
  benchmark::Initialize(&argc, argv);
  std::string name = take_device(argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  std::unique_ptr<OpBench> bench = op_bench(name);
  for (const OpShape& shape : bench->shapes())
    for (DType dtype : {DType::f32, DType::bf16})
      for (auto cases : {product_cases, attention_cases, elementwise_cases, token_cases})
        register_cases(*bench, shape.name + "/" + std::string(name_of(dtype)) + "/", cases(shape, dtype));
  OpReport report;
  benchmark::RunSpecifiedBenchmarks(&report);
  benchmark::Shutdown();
} catch (const Error& error) {
  return std::fprintf(stderr, "error: %s\n", error.what()), static_cast<int>(error.kind());
}

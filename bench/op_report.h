#pragma once
#include <benchmark/benchmark.h>

namespace loragrad::bench {

/// One line for each kernel: its time, its rate, the machine's rate for the same amount, and how much of it that is.
/// Counters: "GB/s" or "GFLOP/s", and "of_limit".
class OpReport final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
};

}  // namespace loragrad::bench

#include "bench/op_report.h"

#include <fmt/format.h>

namespace loragrad::bench {

bool OpReport::ReportContext(const Context&) {
  fmt::print("{:<48} {:>10} {:>10} {:>10} {:<8} {:>9}\n", "", "us", "rate", "limit", "", "of limit");
  return true;
}

void OpReport::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    std::string name = run.run_name.function_name;
    if (!run.aggregate_name.empty()) name += "_" + run.aggregate_name;
    auto of_limit = run.counters.find("of_limit");
    if (of_limit == run.counters.end()) continue;
    bool memory = run.counters.count("GB/s") > 0;
    double rate = run.counters.at(memory ? "GB/s" : "GFLOP/s");
    fmt::print("{:<48} {:>10.1f} {:>10.1f} {:>10.1f} {:<8} {:>7.0f} %\n", name, run.GetAdjustedRealTime(), rate,
               rate / of_limit->second, memory ? "GB/s" : "GFLOP/s", 100 * of_limit->second);
    std::fflush(stdout);
  }
}

}  // namespace loragrad::bench

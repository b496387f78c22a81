#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace loragrad::bench {

/// What bench/step is told.
struct StepOptions {
  std::string model;
  std::int64_t rows = 4, shortest = 256, longest = 256, steps = 5;
  int threads = 0;
  bool bf16 = false, all_linear = false, full = false;

  /// None where the words make no sense; step_usage says what would.
  static std::optional<StepOptions> parse(int count, char** words);
};

extern const char* const step_usage;

}  // namespace loragrad::bench

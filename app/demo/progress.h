#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "train/trainer.h"

namespace loragrad {

/// Wall time since it was made.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// How far the whole demo is, on stderr: on a terminal one line that redraws, elsewhere a line for each tenth of all
/// steps. "620/1200 steps  48s  task "who": all parameters, seed 2 of 3, loss 0.0123"
class DemoProgress {
 public:
  /// Steps that will be taken, all trainings together.
  void expect(std::int64_t steps) { total_ += steps; }
  /// What is being done, from here on; shown at once on a terminal.
  void begin(const std::string& what);
  /// train() without evaluation, under the name that began. Throws Interrupted.
  TrainResult train(const CausalLm& model, const Adapter* adapter, const Dataset& data, const TrainOptions& options);

 private:
  void show(const std::string& more);
  Stopwatch watch_;
  std::string what_;
  std::int64_t done_ = 0, total_ = 0;
};

}  // namespace loragrad

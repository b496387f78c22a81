#pragma once
#include <chrono>
#include <functional>
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

/// train() under a heading, with its progress on stderr: a bar on a terminal, else ten lines. `after_step` is told
/// every step that is done. Throws Interrupted.
TrainResult demo_train(const std::string& heading, const CausalLm& model, const Adapter* adapter, const Dataset& data,
                       const TrainOptions& options, const std::function<void(std::int64_t step)>& after_step = {});

}  // namespace loragrad

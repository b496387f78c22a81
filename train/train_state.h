#pragma once
// Threads: one at a time for each device (engine/device.h); a state whose values were copied belongs to no device.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "train/evaluate.h"

namespace loragrad {

struct TrainResult {
  std::int64_t steps = 0;
  std::int64_t learning_steps = 0;  ///< those with a learning rate and a loss; without one nothing was proved either
  bool stopped = false;             ///< by the observer
  std::int64_t tokens = 0, supervised_tokens = 0;
  double seconds = 0;                            ///< of the steps, evaluation not counted
  std::optional<double> loss;                    ///< of the last step that had one
  std::optional<std::size_t> device_peak_bytes;  ///< as the last step's report has it
  std::optional<EvalReport> eval;                ///< the last
  /// The evaluation with the lowest loss; none where none was finite.
  struct Best {
    std::int64_t step = 0;
    double loss = 0;
    bool operator==(const Best&) const = default;
  };
  std::optional<Best> best;
  bool early_stopped = false;  ///< by options.early_stop
};

/// A tensor on its way to a file or from one: its values are on the host once they are asked for.
struct StateTensor {
  std::string name;
  Shape shape;
  std::function<std::vector<float>()> values;

  std::size_t bytes() const { return static_cast<std::size_t>(shape.numel()) * sizeof(float); }
};

/// All that the steps to come depend on, beside model, data and options.
struct TrainState {
  TrainResult result;          ///< of the steps so far
  std::uint64_t position = 0;  ///< rows taken of the stream
  std::int64_t updates = 0;    ///< of the optimiser: steps without a loss are none
  std::int64_t evaluated = 0;  ///< the step that was evaluated last; 0: none
  std::int64_t evaluations_since_best = 0;
  std::vector<StateTensor> trained;
  std::vector<StateTensor> moments;  ///< "NAME.exp_avg" and "NAME.exp_avg_sq" of those that had a gradient

  /// From now on the values are copies, each of which can be asked for once and is gone then: steps may follow.
  void copy_values();
};

/// AdamW's moments in a state, by torch's names for them.
inline constexpr const char *first_moment = ".exp_avg", *second_moment = ".exp_avg_sq";

}  // namespace loragrad

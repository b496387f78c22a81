#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <functional>
#include <optional>

#include "data/dataset.h"
#include "data/row_stream.h"
#include "models/model.h"
#include "optim/schedule.h"
#include "train/evaluate.h"
#include "train/step.h"
#include "train/train_state.h"

namespace loragrad {

/// The flags of `loragrad train` that say how, not what; names and defaults are the flags'.
struct TrainOptions {
  double lr = 2e-4, weight_decay = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  ScheduleKind schedule = ScheduleKind::linear;
  std::int64_t warmup_steps = 0;
  double loraplus_ratio = 1;  ///< learning rate of an adapter's B and vectors over that of A (lora/loraplus.h)
  double clip = 1;            ///< largest norm of all gradients together; 0: off
  std::int64_t batch_size = 4, grad_accum = 1;  ///< rows of a batch; batches of a step
  std::optional<std::int64_t> steps{};          ///< optimiser steps; without it `epochs` counts
  std::int64_t epochs = 1;
  std::uint64_t seed = 0;
  bool shuffle = true;
  bool checkpoint_activations = false;  ///< keep each block's input alone and run the block again in backward
  /// Rows taken at once, where as many as asked would take too much memory; 0: most_rows_at_once(). The result is the same, to
  /// rounding. Evaluation then takes fewer tokens at once too.
  std::int64_t micro_batch = 0;
  /// A step's rows are then taken together by their tokens, up to so many, instead of batch_size at a time; 0: by rows.
  /// The result is the same, to rounding.
  std::int64_t max_tokens_per_batch = 0;
  bool copies_state = false;    ///< checkpoints are written beside the steps, which takes memory for a copy
  std::int64_t eval_every = 0;  ///< steps between evaluations; 0: only after the last step
  std::int64_t early_stop = 0;  ///< ends after so many evaluations in a row without a lower loss than before; 0: never

  /// Far above any use, and far below where a product of two of them overflows.
  static constexpr std::int64_t many = 1'000'000'000, most_rows = 1'000'000;
  /// UsageError naming the first flag whose value is out of range.
  void check() const;
  std::int64_t rows_per_step() const { return batch_size * grad_accum; }
  std::int64_t most_rows_at_once() const { return max_tokens_per_batch > 0 ? rows_per_step() : batch_size; }
  std::int64_t rows_at_once() const { return micro_batch > 0 ? micro_batch : most_rows_at_once(); }
  std::int64_t eval_tokens_at_once() const { return micro_batch > 0 ? 256 : EvalOptions{}.tokens_per_batch; }
  /// Optimiser steps over `rows` rows; of a run that goes on, with those before.
  std::int64_t total_steps(std::int64_t rows, const TrainState* from = nullptr) const;
  /// The highest learning rate of those steps; below lr where the warm-up is as long as the run or longer. UsageError
  /// where it is zero and lr is not.
  double highest_lr(std::int64_t rows) const;
};

/// One line of metrics.jsonl.
struct StepReport {
  std::int64_t step = 0;         ///< from 1
  double loss = 0;               ///< before the step's update
  double lr = 0, grad_norm = 0;  ///< the norm before clipping
  std::int64_t tokens = 0, supervised_tokens = 0;
  double seconds = 0;          ///< of this step
  double tokens_per_s = 0;     ///< of the tokens that went through the model; NaN where none did
  std::size_t peak_bytes = 0;  ///< the process's peak resident set
  /// Of a device with memory of its own, what the run came to hold there, the workspace included.
  std::optional<std::size_t> device_peak_bytes = {};
  /// False for a step none of whose rows has a supervised token: it counts, and moves the schedule on, but has no loss
  /// (0 here) and changes nothing, the optimiser's moments included.
  bool updated = true;
};

/// A run between two steps, where it could be left and gone on with.
struct TrainPoint {
  std::int64_t step = 0;
  bool ends = false;                       ///< no step follows: all are done, or it was stopped
  std::function<TrainState()> state = {};  ///< while the point lasts
};

/// Who watches a run; each may be empty.
struct TrainObserver {
  std::function<void(const StepReport&)> on_step = {};
  PhaseObserver on_phase = {};  ///< forward and backward of each micro-batch, and the update
  std::function<void(std::int64_t step, const EvalReport&)> on_eval = {};
  /// After on_eval, where no evaluation before had so low a loss: what is trained now is the best so far.
  std::function<void(const TrainResult::Best&)> on_best = {};
  std::function<bool()> stop = {};  ///< polled after each step and while evaluating; true ends the run
  /// After each step and its evaluation, the last thing that is called of it.
  std::function<void(const TrainPoint&)> after_step = {};
};

/// What evaluations in a training are made with: a row that chooses one of `named` has that alone, any other the one in
/// training (null with a trained base: none).
ActiveAdapters adapters_in_evaluation(const CausalLm& model, const Adapter* trained,
                                      const std::vector<WeightedAdapter>& named);

/// The order in which train takes the rows of a data set of `rows`.
RowStream row_stream(const TrainOptions& options, std::size_t rows);

/// Trains `adapter` beside `model`, or with a null adapter all of the model's trainable parameters, by AdamW. Step t
/// from 0 takes the stream's next rows, has learning rate lr * schedule_factor(t), and draws its dropout from
/// (seed, t + 1): equal options give equal bits for any number of threads. UsageError for options out of range, a
/// schedule without a learning rate or nothing to train, InputError for rows the model cannot take. NumericError for a
/// NaN or Inf in the loss or the gradients, before anything is updated, naming the first module of the forward pass
/// that gives one, or where the loss is finite the first (in the model's order) with such a gradient; and when the
/// first step with a learning rate leaves a module of the adapter without a gradient or unchanged (train/first_step.h).
/// `eval_adapters` are those that rows of `eval_data` choose. `from`, where given, is what a run with equal options, data
/// and model left: what is trained gets its values, and on the same device all that follows is what would have followed
/// there, bit for bit. Its evaluation, where it was cut short, is made up for first. InputError where its tensors are
/// not those that are trained here.
TrainResult train(const CausalLm& model, const Adapter* adapter, const Dataset& data, const TrainOptions& options,
                  const Dataset* eval_data = nullptr, const TrainObserver& observer = {},
                  const std::vector<WeightedAdapter>& eval_adapters = {}, const TrainState* from = nullptr);

}  // namespace loragrad

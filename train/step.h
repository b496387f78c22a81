#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <functional>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"

namespace loragrad {

/// The rows of one optimiser step, in order; they outlive it.
using StepRows = std::vector<const Row*>;

/// What the forward passes of one step found.
struct StepLoss {
  Tensor sum;  ///< [1, 1] f64 on the device, of the losses of all supervised tokens; undefined without any
  std::int64_t tokens = 0, supervised = 0;
  std::int64_t computed = 0;  ///< of the tokens, those of micro-batches that have a loss: the others are passed over
};

/// The parts of an optimiser step, and who is told when one begins (may be empty).
enum class StepPhase { forward, backward, update };
using PhaseObserver = std::function<void(StepPhase)>;

/// Where each micro-batch of a step ends: its rows in order, as many together as both limits allow. A row of more tokens
/// goes alone; tokens_at_once 0: any number.
std::vector<std::size_t> micro_batches(const StepRows& rows, std::int64_t rows_at_once, std::int64_t tokens_at_once);

/// Rows `begin` .. `end` of a step as one batch. InputError for an id outside the vocabulary, and for a row longer than
/// the model's positions.
Batch batch_of(const CausalLm& model, const StepRows& rows, std::size_t begin, std::size_t end);

/// How the passes of a step run.
struct PassOptions {
  std::int64_t rows_at_once = 1;    ///< rows of a micro-batch
  std::int64_t tokens_at_once = 0;  ///< and its tokens, as micro_batches counts them
  std::uint64_t dropout_key = 0;
  bool recompute = false;  ///< blocks run again in backward instead of keeping their values: the same bits
  ActiveAdapters adapters = {};
  PhaseObserver on_phase = {};
};

/// The pass of one micro-batch in training.
Pass training_pass(Batch batch, const PassOptions& options);

/// Forward and backward of one optimiser step in micro-batches; adds to the gradients of what is trainable. The loss is
/// divided by the supervised tokens of all rows, so the gradients do not depend on how they are cut, to rounding. Without
/// supervised tokens nothing is computed.
StepLoss accumulate_gradients(const CausalLm& model, const StepRows& rows, const PassOptions& options);

}  // namespace loragrad

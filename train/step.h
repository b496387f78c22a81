#pragma once
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
  double loss = 0;  ///< sum over the step's supervised tokens / their number; 0 when there are none
  std::int64_t tokens = 0, supervised = 0;
};

/// The parts of an optimiser step, and who is told when one begins (may be empty).
enum class StepPhase { forward, backward, update };
using PhaseObserver = std::function<void(StepPhase)>;

/// Rows `begin` .. `end` of a step as one batch. InputError for an id outside the vocabulary, and for a row longer than
/// the model's positions.
Batch batch_of(const CausalLm& model, const StepRows& rows, std::size_t begin, std::size_t end);

/// Forward and backward of one optimiser step in micro-batches of `batch_size` rows; adds to the gradients of what is
/// trainable. The loss is divided by the supervised tokens of all rows, so the gradients do not depend on `batch_size`,
/// to rounding. Without supervised tokens nothing is computed.
StepLoss accumulate_gradients(const CausalLm& model, const StepRows& rows, std::int64_t batch_size,
                              std::uint64_t dropout_key, const PhaseObserver& on_phase = {});

}  // namespace loragrad

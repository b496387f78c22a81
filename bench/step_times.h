#pragma once
#include <optional>
#include <vector>

#include "ops/timed_device.h"
#include "train/trainer.h"

namespace loragrad::bench {

/// What the parts of a training step take. Fed by a timed_device and by the trainer, for steps of one batch.
class StepTimes {
 public:
  /// Seconds. The head is a part of the forward phase: logits, loss, and their gradients, which are computed with the
  /// loss. `forward` is the rest of it.
  struct Parts {
    double step = 0, forward = 0, head = 0, backward = 0, update = 0;
  };

  // The three things to tell it.
  void kernel_called(const KernelCall& call);
  void phase_begins(StepPhase phase);
  void step_ends(const StepReport& report);

  /// Of all steps but the first, which warms up: each part's median.
  Parts median() const;
  const std::vector<Parts>& steps() const { return steps_; }

 private:
  void phase_ends();

  std::optional<StepPhase> phase_;
  double phase_began_ = 0;
  Parts now_;
  std::vector<Parts> steps_;
};

}  // namespace loragrad::bench

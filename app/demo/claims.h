#pragma once
#include <string>
#include <vector>

#include "app/demo/report.h"
#include "app/demo/runs.h"

namespace loragrad {

struct DemoSettings {
  DemoScale scale = DemoScale::full();
  bool fresh = false;  ///< leave the cached base alone
  int threads = 0;     ///< 0: all
};

/// The whole demo: base, trainings, measurements. Throws Interrupted after a signal.
DemoReport measure_claims(const DemoSettings& settings);

// Its parts, each a group of claims. docs/demo.md says what each row means and when it holds.

/// Parameters, gradients, optimiser state, memory and time of a step against full fine-tuning.
std::vector<DemoClaim> cost_claims(const DemoStage& stage, const DemoTaskData& data, int threads);

/// What was trained on one task.
struct DemoTrained {
  DemoTaskData data;
  double before = 0;                    ///< the base's accuracy
  std::vector<DemoOutcome> lora, full;  ///< by seed
  std::vector<std::string> folders;     ///< of the adapters, as saved, by seed
};
/// Accuracy and forgetting against full fine-tuning.
std::vector<DemoClaim> quality_claims(const DemoStage& stage, const std::vector<DemoTrained>& tasks);

/// Accuracy and speed of learning by rank; rank 8 is trained already.
DemoClaim rank_claim(const DemoStage& stage, const DemoTrained& who);

/// Adapter file, merging, swapping and composing of the two tasks' adapters.
std::vector<DemoClaim> use_claims(const DemoStage& stage, const DemoTrained& who, const DemoTrained& cheer,
                                  const std::string& scratch);

constexpr std::int64_t demo_rank = 8;

}  // namespace loragrad

#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/demo/base.h"
#include "app/demo/tasks.h"
#include "models/model.h"

namespace loragrad {

/// What all measurements share: the base, its tokenizer, and what the base was pretrained for.
struct DemoStage {
  DemoScale scale;
  DemoBase base;
  DevicePtr device;
  std::unique_ptr<CausalLm> model;  ///< the frozen base
  Tokenizer tokenizer;
  Dataset held_out_stories;  ///< without loss on full stops, which a task writes otherwise
  double story_loss = 0;     ///< of the base alone
  DemoProgress& progress;

  static DemoStage open(const DemoScale& scale, DemoBase base, const DevicePtr& device, DemoProgress& progress);
};

/// One task's examples, as rows.
struct DemoTaskData {
  DemoTask task;
  std::vector<DemoExample> examples;  ///< held out
  Dataset train, test;
};
DemoTaskData demo_task_data(const DemoStage& stage, DemoTask task);

/// What one training came to at its end.
struct DemoOutcome {
  double accuracy = 0;    ///< of `test`
  double story_loss = 0;  ///< of the held-out stories
  double seconds = 0;     ///< of all steps
};

/// The adapter's shape that the demo uses: PEFT's default targets of the family, alpha twice the rank.
LoraConfig demo_lora(std::int64_t rank);
/// Trains an adapter on the task. The seed is of its initial values and of the rows' order.
Adapter demo_train_lora(const DemoStage& stage, const DemoTaskData& data, std::int64_t rank, std::uint64_t seed,
                        DemoOutcome& outcome);
/// The same rows, order and number of steps for all parameters of a copy of the base.
DemoOutcome demo_train_full(const DemoStage& stage, const DemoTaskData& data, std::uint64_t seed);

}  // namespace loragrad

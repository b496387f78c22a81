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
  Dataset held_out_stories;
  double story_loss = 0;  ///< of the base alone

  static DemoStage open(const DemoScale& scale, DemoBase base, const DevicePtr& device);
};

/// One task's examples, as rows.
struct DemoTaskData {
  DemoTask task;
  std::vector<DemoExample> examples;  ///< held out
  Dataset train, test;
};
DemoTaskData demo_task_data(const DemoStage& stage, DemoTask task);

/// What one training came to.
struct DemoOutcome {
  double accuracy = 0, story_loss = 0, seconds = 0;
};

/// The adapter's shape that the demo uses: PEFT's default targets of the family, alpha twice the rank.
LoraConfig demo_lora(std::int64_t rank);
/// Trains an adapter on the task; the base is left without it.
Adapter demo_train_lora(DemoStage& stage, const DemoTaskData& data, std::int64_t rank, DemoOutcome& outcome);
/// The same rows, order and number of steps for all parameters of a copy of the base.
DemoOutcome demo_train_full(const DemoStage& stage, const DemoTaskData& data);

}  // namespace loragrad

#pragma once
#include <memory>
#include <optional>
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
  Dataset probe;  ///< the first of `test`, for looking often
};
DemoTaskData demo_task_data(const DemoStage& stage, DemoTask task);

/// What one training came to. Trainings are compared in what they forgot when each had learned as much: at the first
/// look, every few steps, at which 95% of the probe are right.
struct DemoOutcome {
  double accuracy = 0;               ///< at the end, of `test`
  std::optional<std::int64_t> step;  ///< of that look; none when it never came to that
  double story_loss = 0;             ///< then; without it at the end
  double seconds = 0;                ///< of all steps
};
constexpr double demo_learned = 0.95;

/// The adapter's shape that the demo uses: PEFT's default targets of the family, alpha twice the rank.
LoraConfig demo_lora(std::int64_t rank);
/// Trains an adapter on the task. The seed is of its initial values and of the rows' order.
Adapter demo_train_lora(const DemoStage& stage, const DemoTaskData& data, std::int64_t rank, std::uint64_t seed,
                        DemoOutcome& outcome);
/// The same rows, order and number of steps for all parameters of a copy of the base.
DemoOutcome demo_train_full(const DemoStage& stage, const DemoTaskData& data, std::uint64_t seed);

}  // namespace loragrad

#include "app/demo/runs.h"

#include <fmt/format.h>

#include "app/demo/measure.h"
#include "app/demo/progress.h"
#include "train/evaluate.h"
#include "train/frozen.h"

namespace loragrad {
namespace {

constexpr std::size_t story_rows = 200, train_rows = 4000, test_rows = 300;

/// LoRA usually takes a larger learning rate than full fine-tuning; docs/demo.md names both.
TrainOptions task_options(const DemoScale& scale, double lr) {
  TrainOptions options;
  options.lr = lr;
  options.steps = scale.task_steps;
  options.warmup_steps = scale.task_steps / 15;
  options.batch_size = 32;
  options.seed = demo_seed;
  return options;
}

}  // namespace

DemoStage DemoStage::open(const DemoScale& scale, DemoBase base, const DevicePtr& device) {
  std::unique_ptr<CausalLm> model = load_model(base.folder, device);
  Tokenizer tokenizer = Tokenizer::from_folder(base.folder);
  Dataset stories = demo_stories(story_rows, demo_seed, 1, tokenizer, demo_end_token);
  double loss = evaluate(*model, stories).loss;
  return {scale, std::move(base), device, std::move(model), std::move(tokenizer), std::move(stories), loss};
}

DemoTaskData demo_task_data(const DemoStage& stage, DemoTask task) {
  DemoExamples examples = demo_examples(task, train_rows, test_rows, demo_seed);
  return {task, examples.test, demo_dataset(examples.train, stage.tokenizer, demo_end_token),
          demo_dataset(examples.test, stage.tokenizer, demo_end_token)};
}

LoraConfig demo_lora(std::int64_t rank) {
  LoraConfig config;
  config.r = rank;
  config.lora_alpha = 2 * static_cast<double>(rank);
  config.target_modules = default_targets("llama");
  return config;
}

Adapter demo_train_lora(DemoStage& stage, const DemoTaskData& data, std::int64_t rank, DemoOutcome& outcome) {
  Adapter adapter = make_adapter(stage.device, demo_lora(rank), stage.model->linear_shapes(), demo_seed);
  adapter.base_model = stage.base.folder;
  stage.model->attach(adapter);
  outcome.seconds = demo_train(fmt::format("task \"{}\": an adapter of rank {}", name_of(data.task), rank),
                               *stage.model, &adapter, data.train, task_options(stage.scale, 5e-3))
                        .seconds;
  {
    FrozenWhile frozen([&] {
      std::vector<Tensor> tensors;
      for (const auto& [name, tensor] : adapter.tensors()) tensors.push_back(tensor);
      return tensors;
    }());
    outcome.accuracy = exact_share(*stage.model, data.test);
    outcome.story_loss = evaluate(*stage.model, stage.held_out_stories).loss;
  }
  stage.model->detach_adapters();
  return adapter;
}

DemoOutcome demo_train_full(const DemoStage& stage, const DemoTaskData& data) {
  std::unique_ptr<CausalLm> model = load_model(stage.base.folder, stage.device, {.trainable = true});
  DemoOutcome outcome;
  outcome.seconds = demo_train(fmt::format("task \"{}\": all parameters, to compare with", name_of(data.task)), *model,
                               nullptr, data.train, task_options(stage.scale, 1e-3))
                        .seconds;
  std::vector<Tensor> tensors;
  for (const auto& [name, tensor] : model->trainable()) tensors.push_back(tensor);
  FrozenWhile frozen(tensors);
  outcome.accuracy = exact_share(*model, data.test);
  outcome.story_loss = evaluate(*model, stage.held_out_stories).loss;
  return outcome;
}

}  // namespace loragrad

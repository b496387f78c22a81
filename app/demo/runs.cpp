#include "app/demo/runs.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/demo/measure.h"
#include "train/evaluate.h"

namespace loragrad {
namespace {

constexpr std::size_t story_rows = 200, train_rows = 4000, test_rows = 300;

/// LoRA usually takes a larger learning rate than full fine-tuning; docs/demo.md names both.
TrainOptions task_options(std::int64_t steps, double lr, std::uint64_t seed) {
  TrainOptions options;
  options.lr = lr;
  options.steps = steps;
  options.warmup_steps = steps / 8;
  options.batch_size = 32;
  options.seed = seed;
  return options;
}

DemoOutcome train_and_measure(const std::string& heading, const DemoStage& stage, const CausalLm& model,
                              const Adapter* adapter, const DemoTaskData& data, const TrainOptions& options) {
  ActiveAdapters adapters = adapter ? model.activate(*adapter) : ActiveAdapters();
  stage.progress.begin(heading);
  DemoOutcome outcome;
  outcome.seconds = stage.progress.train(model, adapter, data.train, options).seconds;
  outcome.accuracy = exact_share(model, adapters, data.test);
  outcome.story_loss = evaluate(model, stage.held_out_stories, {.adapters = adapters}).loss;
  return outcome;
}

}  // namespace

DemoStage DemoStage::open(const DemoScale& scale, DemoBase base, const DevicePtr& device, DemoProgress& progress) {
  std::unique_ptr<CausalLm> model = load_model(base.folder, device);
  Tokenizer tokenizer = Tokenizer::from_folder(base.folder);
  Dataset stories = demo_stories(story_rows, scale.base_seed, 1, tokenizer, demo_end_token);
  TokenId full_stop = tokenizer.encode(".").front();
  for (Row& row : stories.rows) std::replace(row.labels.begin(), row.labels.end(), full_stop, no_label);
  double loss = evaluate(*model, stories).loss;
  return {scale, std::move(base), device, std::move(model), std::move(tokenizer), std::move(stories), loss, progress};
}

DemoTaskData demo_task_data(const DemoStage& stage, DemoTask task) {
  std::size_t rows_to_train = task == DemoTask::cheerful_who ? 0 : train_rows;
  DemoExamples examples = demo_examples(task, rows_to_train, test_rows, stage.scale.base_seed);
  auto rows = [&](const std::vector<DemoExample>& list) { return demo_dataset(list, stage.tokenizer); };
  return {task, examples.test, rows(examples.train), rows(examples.test)};
}

LoraConfig demo_lora(std::int64_t rank) {
  LoraConfig config;
  config.r = rank;
  config.lora_alpha = 2 * static_cast<double>(rank);
  config.target_modules = default_targets("llama");
  return config;
}

Adapter demo_train_lora(const DemoStage& stage, const DemoTaskData& data, std::int64_t rank, std::uint64_t seed,
                        DemoOutcome& outcome) {
  Adapter adapter = make_adapter(stage.device, demo_lora(rank), stage.model->linear_shapes(), seed);
  adapter.base_model = stage.base.folder;
  outcome = train_and_measure(fmt::format("task \"{}\": an adapter of rank {}", name_of(data.task), rank), stage,
                              *stage.model, &adapter, data, task_options(stage.scale.steps(data.task), 3e-3, seed));
  return adapter;
}

DemoOutcome demo_train_full(const DemoStage& stage, const DemoTaskData& data, std::uint64_t seed) {
  std::unique_ptr<CausalLm> model = load_model(stage.base.folder, stage.device, {.trainable = true});
  return train_and_measure(fmt::format("task \"{}\": all parameters", name_of(data.task)), stage, *model, nullptr, data,
                           task_options(stage.scale.steps(data.task), 1e-3, seed));
}

}  // namespace loragrad

#include "app/demo/runs.h"

#include <fmt/format.h>

#include "app/demo/measure.h"
#include "app/demo/progress.h"
#include "train/evaluate.h"

namespace loragrad {
namespace {

constexpr std::size_t story_rows = 200, train_rows = 4000, test_rows = 300, probe_rows = 100;
constexpr std::int64_t look_every = 2;  // steps

/// LoRA usually takes a larger learning rate than full fine-tuning; docs/demo.md names both.
TrainOptions task_options(const DemoScale& scale, double lr, std::uint64_t seed) {
  TrainOptions options;
  options.lr = lr;
  options.steps = scale.task_steps;
  options.warmup_steps = scale.task_steps / 8;
  options.batch_size = 32;
  options.seed = seed;
  return options;
}

/// Trains, looks at the probe meanwhile, and measures the end.
DemoOutcome train_and_look(const std::string& heading, const DemoStage& stage, const CausalLm& model,
                           const Adapter* adapter, const DemoTaskData& data, const TrainOptions& options) {
  ActiveAdapters adapters = adapter ? model.activate(*adapter) : ActiveAdapters();
  DemoOutcome outcome;
  auto story_loss = [&] { return evaluate(model, stage.held_out_stories, {.adapters = adapters}).loss; };
  auto look = [&](std::int64_t step) {
    if (outcome.step || step % look_every) return;
    if (exact_share(model, adapters, data.probe) < demo_learned) return;
    outcome.step = step;
    outcome.story_loss = story_loss();
  };
  outcome.seconds = demo_train(heading, model, adapter, data.train, options, look).seconds;
  outcome.accuracy = exact_share(model, adapters, data.test);
  if (!outcome.step) outcome.story_loss = story_loss();
  return outcome;
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
  auto rows = [&](const std::vector<DemoExample>& list) { return demo_dataset(list, stage.tokenizer, demo_end_token); };
  return {task, examples.test, rows(examples.train), rows(examples.test),
          rows({examples.test.begin(), examples.test.begin() + probe_rows})};
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
  outcome = train_and_look(fmt::format("task \"{}\": an adapter of rank {}", name_of(data.task), rank), stage,
                           *stage.model, &adapter, data, task_options(stage.scale, 5e-3, seed));
  return adapter;
}

DemoOutcome demo_train_full(const DemoStage& stage, const DemoTaskData& data, std::uint64_t seed) {
  std::unique_ptr<CausalLm> model = load_model(stage.base.folder, stage.device, {.trainable = true});
  return train_and_look(fmt::format("task \"{}\": all parameters, to compare with", name_of(data.task)), stage, *model,
                        nullptr, data, task_options(stage.scale, 1e-3, seed));
}

}  // namespace loragrad

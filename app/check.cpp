#include <fmt/format.h>

#include <algorithm>

#include "app/advice.h"
#include "app/commands.h"
#include "app/device_memory.h"
#include "app/masked_spans.h"
#include "app/plan.h"
#include "app/profile_text.h"
#include "app/terminal/console.h"
#include "app/training/learnable.h"
#include "app/training/resume.h"
#include "engine/error.h"
#include "ops/meta_device.h"
#include "train/progress.h"

namespace loragrad {
namespace {

std::int64_t longest_row(const Dataset& data) {
  std::size_t longest = 0;
  for (const Row& row : data.rows) longest = std::max(longest, row.input_ids.size());
  return static_cast<std::int64_t>(longest);
}

/// Labels that ask for another token than the one that stands there: allowed, and hardly ever meant.
std::int64_t other_labels(const Dataset& data) {
  std::int64_t count = 0;
  for (const Row& row : data.rows)
    for (std::size_t t = 1; t < row.labels.size(); ++t)
      count += row.labels[t] != no_label && row.labels[t] != row.input_ids[t];
  return count;
}

/// The first row that teaches something.
std::size_t sample_row(const Dataset& data) {
  std::size_t row = 0;
  while (supervised_tokens(data.rows[row]) == 0) ++row;  // load_dataset sees to it that there is one
  return row;
}

Json::Object dataset_json(const Dataset& data) {
  return {{"rows", data.rows.size()},
          {"tokens", data.tokens},
          {"supervised_tokens", data.supervised_tokens},
          {"cut_rows", data.cut_rows},
          {"emptied_rows", data.emptied_rows},
          {"unsupervised_rows", data.unsupervised_rows},
          {"mismatched_prompts", data.mismatched_prompts},
          {"longest_row", longest_row(data)}};
}

Json::Object check_json(const TrainFlags& flags, const TrainingPlan& plan, const std::vector<std::string>& hints,
                        const TrainState* from) {
  const Dataset& data = plan.data.train;
  auto rows = static_cast<std::int64_t>(data.rows.size());
  std::size_t row = sample_row(data);
  Json::Object modules;
  for (const auto& [name, count] : plan.modules()) modules.emplace_back(name, count);
  Json::Object json = dataset_json(data);
  Json::Object rest{{"eval", plan.data.eval ? Json(dataset_json(*plan.data.eval)) : Json()},
                    {"steps", flags.training.options.total_steps(rows, from)},
                    {"highest_lr", flags.training.options.highest_lr(rows)},
                    {"trainable_parameters", plan.trainable},
                    {"all_parameters", plan.parameters},
                    {"modules", std::move(modules)},
                    {"advice", Json::Array(hints.begin(), hints.end())},
                    {"sample", Json::Object{{"row", row + 1},
                                            {"spans", spans_json(masked_spans(data.rows[row], pointer(plan.tokenizer)),
                                                                 plan.tokenizer.has_value())}}}};
  for (const Json::Object& part : {rest, memory_json(plan.memory)}) json.insert(json.end(), part.begin(), part.end());
  if (flags.profile == "memory") json.emplace_back("profile", memory_profile_json(plan.memory.forecast));
  return json;
}

std::string rows_text(const Dataset& data) {
  std::string text =
      fmt::format("{} ({}), longest {} tokens, {} cut", grouped(static_cast<std::int64_t>(data.rows.size())),
                  data.format, grouped(longest_row(data)), data.cut_rows > 0 ? grouped(data.cut_rows) : "none");
  if (std::int64_t idle = data.emptied_rows + data.unsupervised_rows; idle > 0)
    text += fmt::format(", {} without a supervised token", grouped(idle));
  return text;
}

std::string tokens_text(const Dataset& data) {
  return fmt::format("{}, supervised {} ({:.1f}%)", grouped(data.tokens), grouped(data.supervised_tokens),
                     100.0 * static_cast<double>(data.supervised_tokens) / static_cast<double>(data.tokens));
}

std::string steps_text(const TrainOptions& options, std::int64_t rows, const TrainState* from) {
  std::int64_t steps = options.total_steps(rows, from);
  std::string size = options.grad_accum > 1 ? fmt::format("{} x {}", options.batch_size, options.grad_accum)
                                            : fmt::format("{}", options.batch_size);
  double epochs = static_cast<double>(steps * options.rows_per_step()) / static_cast<double>(rows);
  return fmt::format("{} of {} rows: {} over the data", grouped(steps), size,
                     options.steps         ? fmt::format("{:.1f} times", epochs)
                     : options.epochs == 1 ? "once"
                                           : fmt::format("{} times", options.epochs));
}

void print_check(const TrainFlags& flags, const TrainingPlan& plan, const std::vector<std::string>& hints,
                 const TrainState* from) {
  const Dataset& data = plan.data.train;
  const Forecast& f = plan.memory.forecast;
  auto rows = static_cast<std::int64_t>(data.rows.size());
  print(trainable_parameters_text(plan.trainable, plan.parameters) + "\n");
  std::vector<std::pair<std::string, std::string>> table{
      {"modules", plan.modules_text()}, {"rows", rows_text(data)}, {"tokens", tokens_text(data)}};
  if (plan.data.eval) {
    table.emplace_back("eval rows", rows_text(*plan.data.eval));
    table.emplace_back("eval tokens", tokens_text(*plan.data.eval));
  }
  table.emplace_back("steps", steps_text(flags.training.options, rows, from));
  if (std::string filling = filling_text(data, flags.training.options); !filling.empty())
    table.emplace_back("micro-batches", filling);
  table.emplace_back("peak memory",
                     fmt::format("{:>8} predicted{}", bytes_text(f.total()), f.own_memory ? " of the GPU's" : ""));
  for (const auto& [name, bytes] : forecast_parts(f))
    table.emplace_back(fmt::format("  {}", name), fmt::format("{:>8}", bytes_text(bytes)));
  if (std::string measures = plan.memory.measures(flags.training.options); !measures.empty())
    table.emplace_back(fmt::format("  within {}", bytes_text(*flags.training.max_memory)), measures);
  table.emplace_back("available", fmt::format("{:>8}", bytes_text(plan.memory.available)));
  if (f.own_memory) table.emplace_back("host memory", fmt::format("{:>8} predicted", bytes_text(f.process)));
  print_table(table);

  std::size_t at = sample_row(data);
  const Row& row = data.rows[at];
  print(fmt::format("\nrow {} of {}: {} tokens, {} supervised\n", grouped(static_cast<std::int64_t>(at) + 1),
                    grouped(rows), grouped(static_cast<std::int64_t>(row.input_ids.size())),
                    grouped(supervised_tokens(row))));
  print(spans_text(masked_spans(row, pointer(plan.tokenizer)), output_width(), output_has_colour()));
  if (!hints.empty()) print("\n" + advice_text(hints, output_width()));
  if (flags.profile == "memory") print("\n" + memory_profile_text(plan.memory.forecast) + "\n");
}

}  // namespace

int run_check(const Words& words) {
  Flags flags("check", "Says what train would do with the same flags: a row with its loss mask, counts, peak memory.");
  TrainFlags train;
  train.add(flags);
  if (!flags.parse(words)) return print(flags.help()), 0;
  train.finish(flags);
  if (train.profile == "time")
    throw UsageError("--profile: expected memory, found \"time\", which takes steps, and check takes none");
  std::optional<Checkpoint> from;
  if (flags.given("output")) {
    // Whether it could be written; nothing is left behind.
    RunFolder output(train.training.output, train.training.overwrite, train.training.save.resume);
    from = find_checkpoint(train.training, output);
  }
  TrainingPlan plan = plan_training(train, from.has_value());
  if (std::int64_t count = other_labels(plan.data.train); count > 0)
    warn(fmt::format("{}: {} labels ask for other tokens than those at their places", plan.data.train.path, count));
  // Opened after the forecast, which counts what the process holds; the head's rows are looked at for an adapter alone.
  std::unique_ptr<CausalLm> model = plan.adapter
                                        ? load_model(train.model_folder, cpu_device(1), {.precision = Precision::f32})
                                        : load_model(train.model_folder, meta_device(cpu_device(1)), plan.load);
  if (plan.adapter) warn_of_untrained_ends(*model, *plan.adapter, plan.data.train, pointer(plan.tokenizer));
  std::vector<std::string> hints = advice(train, plan, *model);
  const TrainState* state = from ? &from->state : nullptr;
  if (train.training.json)
    print_json(check_json(train, plan, hints, state));
  else
    print_check(train, plan, hints, state);
  return 0;
}

}  // namespace loragrad

#include "app/training/training_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/device_memory.h"
#include "app/terminal/console.h"
#include "engine/error.h"
#include "train/filling.h"
#include "train/process_memory.h"
#include "train/progress.h"

namespace loragrad {

void report_plan(const TrainingFlags& flags, const std::string& line) { return flags.json ? note(line) : say(line); }

std::string filling_text(const Dataset& data, const TrainOptions& options) {
  if (options.max_tokens_per_batch == 0) return "";
  Filling filling = filling_of(data, options);
  return fmt::format("{:.1f} a step, of {:.0f} tokens on average (up to {}), instead of {:.1f} by rows",
                     filling.batches_a_step(), filling.tokens_a_batch(), grouped(options.max_tokens_per_batch),
                     filling.rows_batches_a_step());
}

void report_data(const TrainingFlags& flags, const TrainingData& data, const TrainState* from) {
  auto line = [&](const char* label, const Dataset& set) {
    report_plan(flags, fmt::format("{}: {} rows ({}), {} tokens, {} supervised", label,
                                   grouped(static_cast<std::int64_t>(set.rows.size())), set.format, grouped(set.tokens),
                                   grouped(set.supervised_tokens)));
  };
  line("data", data.train);
  if (data.eval) line("evaluation data", *data.eval);
  std::int64_t steps = flags.options.total_steps(static_cast<std::int64_t>(data.train.rows.size()), from);
  report_plan(flags, fmt::format("steps: {} of {} rows", grouped(steps), grouped(flags.options.rows_per_step())));
  if (std::string text = filling_text(data.train, flags.options); !text.empty())
    report_plan(flags, "micro-batches: " + text);
}

MemoryPlan plan_within_limit(const TrainingFlags& flags, const Dataset& data, const DevicePtr& device,
                             const Forecaster& forecast, bool goes_on) {
  std::size_t longest = 0;
  for (const Row& row : data.rows) longest = std::max(longest, row.input_ids.size());
  auto tokens = static_cast<std::int64_t>(longest);
  bool own_memory = !device->shares_host_memory();
  std::size_t limit = own_memory ? available_on(*device) : flags.max_memory.value_or(0);
  MemoryPlan plan = flags.max_memory ? plan_memory(flags.options, limit, tokens, forecast, goes_on)
                                     : MemoryPlan{flags.options, forecast.real(flags.options), 0};
  plan.available = own_memory ? limit : available_bytes();
  if (auto of_process = memory_limit(); !own_memory && of_process && of_process->left <= plan.available)
    plan.limit = of_process;
  if (std::string text = memory_warning(plan, flags.options, tokens, forecast); !text.empty()) {
    if (own_memory || plan.limit) throw OutOfMemory(text);
    warn(text);
  }
  return plan;
}

void report_memory(const TrainingFlags& flags, const MemoryPlan& plan) {
  const Forecast& f = plan.forecast;
  report_plan(flags, f.own_memory ? device_forecast_text(f)
                                  : fmt::format("predicted peak memory: {} ({})", bytes_text(f.total()),
                                                forecast_parts_text(f)));
  if (std::string measures = plan.measures(flags.options); !measures.empty())
    report_plan(flags, fmt::format("to stay within {}: {}", bytes_text(*flags.max_memory), measures));
}

Json::Object memory_json(const MemoryPlan& plan) {
  Json::Object parts;
  for (const auto& [name, bytes] : forecast_parts(plan.forecast)) parts.emplace_back(name, bytes);
  Json::Object json{{"predicted_peak_bytes", plan.forecast.total()},
                    {"predicted", std::move(parts)},
                    {"available_bytes", plan.available},
                    {"checkpoint_activations", plan.options.checkpoint_activations},
                    {"rows_at_once", plan.options.rows_at_once()}};
  if (plan.forecast.own_memory) json.emplace_back("predicted_host_bytes", plan.forecast.process);
  return json;
}

}  // namespace loragrad

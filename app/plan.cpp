#include "app/plan.h"

#include <fmt/format.h>

#include "app/adapters.h"
#include "app/profile_text.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "engine/error.h"
#include "io/hub_cache.h"
#include "models/trained_parameters.h"
#include "ops/meta_device.h"
#include "train/progress.h"

namespace loragrad {

void TrainFlags::add(Flags& flags) {
  flags.text("model", model_folder, "DIR", "a Hugging Face model folder");
  flags.require({"model"});
  lora.add(flags);
  training.add(flags);
  flags.number("loraplus-ratio", training.options.loraplus_ratio, 0, 1e6,
               "learning rate of B and of trained vectors, over that of A (LoRA+)");
  data.add(flags);
  compute.add(flags);
  flags.list("adapter", adapters, "NAME=DIR[:WEIGHT]",
             "an adapter for the rows of --eval-data that choose it, in place of the one in training");
  flags.choice("profile", profile, {"time", "memory"}, "a table of where a step's time, or its memory, goes");
}

void TrainFlags::finish(const Flags& flags) {
  model_folder = local_folder(model_folder);
  if (lora.init_adapter) lora.init_adapter = local_folder(*lora.init_adapter);
  std::vector<InputPath> inputs{{"model", model_folder}};
  if (lora.init_adapter) inputs.push_back({"init-adapter", *lora.init_adapter});
  for (const AdapterArgument& adapter : AdapterArgument::parse(adapters)) {
    if (adapter.name.empty())
      throw UsageError(
          fmt::format("--adapter: expected NAME=DIR[:WEIGHT] for rows of --eval-data to choose, found "
                      "\"{}\" (--init-adapter starts from a saved one)",
                      escaped(adapter.folder)));
    inputs.push_back({"adapter", adapter.folder});
  }
  if (!adapters.empty() && !training.eval_data)
    throw UsageError("--adapter: expected --eval-data beside it, whose rows choose it, found none");
  if (data.chat.chat_template) inputs.push_back({"chat-template", *data.chat.chat_template});
  training.finish(std::move(inputs));
  lora.check(flags);
  require_folder_with(model_folder, "config.json");
  if (lora.init_adapter) require_folder_with(*lora.init_adapter, "adapter_config.json");
}

std::map<std::string, std::int64_t> TrainingPlan::modules() const {
  std::map<std::string, std::int64_t> counts;
  if (adapter)
    for (const LoraModule& module : adapter->modules) ++counts[module.name.substr(module.name.rfind('.') + 1)];
  return counts;
}

std::string TrainingPlan::modules_text() const {
  if (!adapter) return "all parameters (--full)";
  std::string text;
  for (const auto& [name, count] : modules()) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  return fmt::format("{} ({})", adapter->modules.size(), text);
}

namespace {

TrainingPlan make_plan(const TrainFlags& flags, bool goes_on, const std::function<DevicePtr(const DevicePtr&)>& wrap) {
  TrainingPlan plan;
  ChosenDevice chosen = flags.compute.device.open(flags.training.max_memory);
  plan.load = flags.compute.load_options();
  plan.load.trainable = flags.lora.full;
  const Device* outlined = chosen.device().get();
  std::unique_ptr<CausalLm> outline = load_model(flags.model_folder, meta_device(chosen.device()), plan.load);
  warn_of_config(*outline);
  plan.tokenizer = find_tokenizer(flags.model_folder);
  std::optional<LoraConfig> lora;
  if (!flags.lora.full) {
    lora = flags.lora.config(outline->config().model_type, pointer(plan.tokenizer));
    flags.lora.choose_modules(*lora, outline->adaptable_shapes());
  }
  plan.data = open_training_data(flags.training, flags.data, pointer(plan.tokenizer), outline->config(),
                                 flags.model_folder, adapter_names(flags.adapters));
  if (plan.data.eval) warn_of_unused_adapters(flags.adapters, chosen_adapters(*plan.data.eval));
  auto forecast = [&](const TrainOptions& options, const DevicePtr& like) {
    stop_if_interrupted();
    return forecast_training(flags.model_folder, plan.load, lora ? &*lora : nullptr, options, plan.data.train, like,
                             pointer(plan.data.eval), [&](const CausalLm& model) {
                               return outline_adapters(flags.adapters, {model, flags.model_folder});
                             });
  };
  plan.memory = chosen.on_what_fits([&](const DevicePtr& device) {
    if (device.get() != outlined) outline = load_model(flags.model_folder, meta_device(device), plan.load);
    return plan_within_limit(flags.training, plan.data.train, device,
                             forecaster(device, flags.compute.device.thread_count(), forecast), goes_on);
  });
  warn_of_precision(*outline, flags.model_folder, plan.load.precision);
  plan.device = wrap ? wrap(chosen.device()) : chosen.device();
  // After the forecast, which counts what the process holds.
  if (lora) {
    plan.adapter = flags.lora.adapter(*lora, plan.device, {*outline, flags.model_folder}, flags.training.options.seed);
    plan.adapter->base_model = base_name_of(flags.model_folder);
    warn_of_unmergeable(*plan.adapter, outline->linear_shapes());
  }
  plan.data.eval_adapters = open_adapters(flags.adapters, {*outline, flags.model_folder}, plan.device);
  plan.trainable = plan.adapter ? plan.adapter->parameters() : outline->parameter_count();
  plan.parameters = outline->parameter_count() + (plan.adapter ? plan.trainable : 0);
  return plan;
}

}  // namespace

TrainingPlan plan_training(const TrainFlags& flags, bool goes_on,
                           const std::function<DevicePtr(const DevicePtr&)>& wrap) {
  try {
    return make_plan(flags, goes_on, wrap);
  } catch (const UsageError& error) {
    throw UsageError(LoraFlags::by_flag(error.what()));
  } catch (const InputError& error) {
    throw InputError(LoraFlags::by_flag(error.what()));
  }
}

void start_from_base(const TrainFlags& flags, TrainingPlan& plan, CausalLm& model) {
  if (!plan.adapter) return;
  if (!flags.lora.init_adapter && plan.adapter->config.starts_from_base()) {
    std::string base = plan.adapter->base_model;
    plan.adapter =
        flags.lora.adapter(plan.adapter->config, plan.device, {model, flags.model_folder}, flags.training.options.seed);
    plan.adapter->base_model = base;
  }
  put_parameters(model, *plan.adapter);
}

void report_training(const TrainFlags& flags, const TrainingPlan& plan, const TrainState* from) {
  report_plan(flags.training, trainable_parameters_text(plan.trainable, plan.parameters));
  if (plan.adapter) report_plan(flags.training, "adapted modules: " + plan.modules_text());
  report_data(flags.training, plan.data, from);
  report_memory(flags.training, plan.memory);
  if (flags.profile == "memory") report_plan(flags.training, "\n" + memory_profile_text(plan.memory.forecast) + "\n");
}

}  // namespace loragrad

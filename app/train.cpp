#include "app/commands.h"
#include "app/device_memory.h"
#include "app/flags/run_config.h"
#include "app/plan.h"
#include "app/profile_text.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "app/training/learnable.h"
#include "app/training/resume.h"
#include "app/training/training_report.h"
#include "app/training/training_run.h"
#include "io/atomic.h"
#include "io/hub_cache.h"
#include "lora/files/adapter_file.h"
#include "models/files/base_hash.h"
#include "models/files/write_model.h"

namespace loragrad {
namespace {

RunRecord record_of(const TrainFlags& train, const TrainingPlan& plan, const CausalLm& model, const std::string& base,
                    const TrainState* from) {
  RunRecord record = run_record(train.training, train.data, plan.data, plan.memory.options,
                                train.compute.device.words(*plan.device), from);
  record.base = base;
  record.options.emplace_back("precision", std::string(name_of(model.compute_dtype())));
  record.options.emplace_back("tf32", train.compute.device.tf32 ? "yes" : "no");
  record.options.emplace_back("full", train.lora.full ? "yes" : "no");
  if (plan.adapter) record.add(plan.adapter->config);
  return record;
}

/// Where the adapter of the best evaluation is; "" where it was not kept.
std::string best_place(const TrainFlags& train, const RunFolder& output, const TrainResult& result) {
  return output.has_best(result.best) ? train.training.output + "/" + best_folder : "";
}

void write_best_card(CardFacts facts, const Adapter* adapter, const RunFolder& output) {
  facts.which = CardFacts::Which::best;
  try {
    write_file(output.file(best_folder) + "/README.md", model_card(facts, adapter));
  } catch (const std::exception& error) {
    warn(std::string(error.what()) + "; the best adapter has no card");
  }
}

int run_plan(const Flags& flags, TrainFlags& train, TrainingPlan& plan, RunFolder& output, Checkpoint* from,
             TimeProfile* times) {
  // Nothing is trained yet: a signal is obeyed at once.
  stop_if_interrupted();
  report_training(train, plan, from ? &from->state : nullptr);
  std::unique_ptr<CausalLm> model = load_model(train.model_folder, plan.device, plan.load);
  stop_if_interrupted();
  const Adapter* adapter = plan.adapter ? &*plan.adapter : nullptr;
  // Of the base as it is now: whatever becomes of the folder during a long run.
  std::string hash = base_hash(*model, BaseTensors(*model, train.model_folder));
  start_from_base(train, plan, *model);
  auto record = [&] { return record_of(train, plan, *model, hash, from ? &from->state : nullptr); };
  if (from) {
    check_resume(train.training, *from, record());
    if (std::string why = nothing_left(train.training, plan.data, output, *from); !why.empty()) {
      output.begin(true);  // a crash at the very end may have left something
      return report_nothing(
          train.training, why, *from,
          {plan.trainable, plan.parameters, plan.memory, best_place(train, output, from->state.result)});
    }
  }
  warn_of_bad_weights(*model);
  if (adapter) warn_of_untrained_ends(*model, *adapter, plan.data.train, pointer(plan.tokenizer));
  stop_if_interrupted();
  TrainingOutcome outcome = run_training(*model, adapter, plan.data, train.training,
                                         {.options = plan.memory.options,
                                          .output = output,
                                          .tokenizer = pointer(plan.tokenizer),
                                          .record = record,
                                          .config = run_config_text(flags, plan.memory.options, *plan.device),
                                          .from = from,
                                          .times = times});
  CardFacts facts = card_facts(train.training, train.data, plan.data, outcome.result);
  facts.base_model = base_name_of(train.model_folder);
  facts.base_hash = hash;
  facts.trainable = plan.trainable;
  facts.parameters = plan.parameters;
  std::string best = best_place(train, output, outcome.result);
  if (!best.empty()) facts.which = CardFacts::Which::last;
  output.save([&](const std::string& folder) {
    if (adapter)
      save_adapter(*adapter, folder);
    else
      write_model(*model, train.model_folder, folder);
    write_file(folder + "/README.md", model_card(facts, adapter));
  });
  if (!best.empty()) write_best_card(facts, adapter, output);
  Json profile;
  if (times) {
    profile = time_profile_json(times->report());
    report_plan(train.training, "\n" + time_profile_text(times->report()) + "\n");
  } else if (train.profile == "memory") {
    profile = memory_profile_json(plan.memory.forecast);
  }
  return report_result(train.training, outcome, {plan.trainable, plan.parameters, plan.memory, best, profile});
}

}  // namespace

int run_train(const Words& words) {
  Flags flags("train", "Trains a LoRA adapter on a frozen model and writes it as PEFT does.");
  TrainFlags train;
  train.add(flags);
  flags.require({"output"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  train.finish(flags);

  catch_interrupts();
  // What can be checked is checked, and the forecast made, before a weight is touched.
  TimeProfile times;
  bool is_timed = train.profile == "time";
  std::function<DevicePtr(const DevicePtr&)> timed;
  if (is_timed)
    timed = [&times](const DevicePtr& device) {
      return timed_device(device, [&times](const KernelCall& call) { times.kernel_called(call); });
    };
  RunFolder output(train.training.output, train.training.overwrite, train.training.save.resume);
  std::optional<Checkpoint> from = find_checkpoint(train.training, output);
  TrainingPlan plan = plan_training(train, from.has_value(), timed);
  return beside_forecast(plan.memory.forecast, [&] {
    return run_plan(flags, train, plan, output, from ? &*from : nullptr, is_timed ? &times : nullptr);
  });
}

}  // namespace loragrad

#include "app/commands.h"
#include "app/console.h"
#include "app/device_memory.h"
#include "app/interrupt.h"
#include "app/learnable.h"
#include "app/plan.h"
#include "app/profile_text.h"
#include "app/run_config.h"
#include "io/atomic.h"
#include "io/hub_cache.h"
#include "models/base_hash.h"

namespace loragrad {

namespace {

int run_plan(const Flags& flags, TrainFlags& train, TrainingPlan& plan, TimeProfile* times) {
  TrainingOutput output(train.training.output, train.training.overwrite);
  report_training(train, plan);
  write_run_config(output, flags, train.training, plan.memory.options, *plan.device);
  std::unique_ptr<CausalLm> model = load_model(train.model_folder, plan.device, plan.load);
  const Adapter* adapter = plan.adapter ? &*plan.adapter : nullptr;
  // Of the base as it is now: whatever becomes of the folder during a long run.
  std::string hash = base_hash(*model, BaseTensors(*model, train.model_folder));
  start_from_base(train, plan, *model);
  warn_of_bad_weights(*model);
  if (adapter) warn_of_untrained_ends(*model, *adapter, plan.data.train, pointer(plan.tokenizer));
  TrainingOutcome outcome = run_training(*model, adapter, plan.data, train.training, plan.memory.options, output,
                                         pointer(plan.tokenizer), times);
  CardFacts facts = card_facts(train.training, train.data, plan.data, outcome.result);
  facts.base_model = base_name_of(train.model_folder);
  facts.base_hash = hash;
  facts.trainable = plan.trainable;
  facts.parameters = plan.parameters;
  bool has_best = output.has_best();
  if (has_best) {
    facts.which = CardFacts::Which::best;
    write_file(output.file("best/README.md"), model_card(facts, adapter));
    facts.which = CardFacts::Which::last;
  }
  if (adapter)
    output.save_adapter(*adapter, model_card(facts, adapter));
  else
    output.save_model(*model, train.model_folder, model_card(facts, nullptr));
  commit_output(output, train.training.output);
  Json profile;
  if (times) {
    profile = time_profile_json(times->report());
    report_plan(train.training, "\n" + time_profile_text(times->report()) + "\n");
  } else if (train.profile == "memory") {
    profile = memory_profile_json(plan.memory.forecast);
  }
  return report_result(train.training, outcome, plan.trainable, plan.parameters, plan.memory,
                       has_best ? train.training.output + "/best" : "", profile);
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
  auto timed = [&times](const DevicePtr& device) {
    return timed_device(device, [&times](const KernelCall& call) { times.kernel_called(call); });
  };
  bool is_timed = train.profile == "time";
  TrainingPlan plan = is_timed ? plan_training(train, timed) : plan_training(train);
  return beside_forecast(plan.memory.forecast,
                         [&] { return run_plan(flags, train, plan, is_timed ? &times : nullptr); });
}

}  // namespace loragrad

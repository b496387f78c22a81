#include <fmt/format.h>

#include <map>

#include "app/commands.h"
#include "app/console.h"
#include "app/interrupt.h"
#include "app/training.h"
#include "engine/error.h"
#include "lora/adapter_file.h"
#include "lora/matching.h"
#include "ops/meta_device.h"
#include "train/forecast.h"
#include "train/progress.h"

namespace loragrad {
namespace {

struct LoraFlags {
  std::int64_t rank = 16;
  std::optional<double> alpha;
  double dropout = 0.05;
  std::optional<std::string> target, init_adapter;
  std::string init = "default";
  bool rslora = false, full = false;

  void add(Flags& flags) {
    flags.integer("rank", rank, 1, 65536, "r of A [r, in] and B [out, r]");
    flags.number("alpha", alpha, -1e30, 1e30, "B A is scaled by alpha / rank (default: 2 x rank)");
    flags.number("dropout", dropout, 0, 1, "on the adapter's input, below 1");
    flags.text("target", target, "NAMES",
               "q_proj,v_proj | all-linear | regex:PATTERN (default: PEFT's for the family)");
    flags.choice("init", init, {"default", "gaussian"}, "of A, as PEFT's; B is zero");
    flags.toggle("rslora", rslora, "scale by alpha / sqrt(rank)");
    flags.toggle("full", full, "train all parameters instead of an adapter");
    flags.text("init-adapter", init_adapter, "DIR", "start from a saved adapter; its config wins");
  }

  /// --full has no adapter, and --init-adapter brings its own config: a flag that would not count is refused, or said
  /// to be unused.
  void check(const Flags& flags) const {
    for (const char* name : {"rank", "alpha", "dropout", "target", "init", "rslora", "init-adapter"}) {
      if (!flags.given(name)) continue;
      if (full) throw UsageError(fmt::format("--{}: expected no adapter's flag beside --full", name));
      if (init_adapter && std::string(name) != "init-adapter")
        warn(fmt::format("--{} is not used: the config of --init-adapter wins", name));
    }
  }

  LoraConfig config(const std::string& model_type) const {
    if (init_adapter) return read_adapter_config(*init_adapter);
    LoraConfig config;
    config.r = rank;
    config.lora_alpha = alpha.value_or(2 * static_cast<double>(rank));
    config.lora_dropout = dropout;
    config.target_modules = target ? TargetModules::parse(*target) : default_targets(model_type);
    config.use_rslora = rslora;
    config.init_lora_weights = init == "gaussian" ? LoraInit::gaussian : LoraInit::standard;
    config.check();
    return config;
  }
};

/// A target that is no target is the flag's fault; one that matches nothing is a model that does not have it.
void check_targets(const TargetModules& targets, const std::vector<LinearShape>& all) {
  bool all_match = select_targets(targets, all).unmatched.empty();
  try {
    match_targets(targets, all);
  } catch (const UsageError& error) {
    if (!all_match) throw InputError(error.what());
    throw;
  }
}

std::string matched_modules(const Adapter& adapter) {
  std::map<std::string, int> counts;
  for (const LoraModule& module : adapter.modules) ++counts[module.name.substr(module.name.rfind('.') + 1)];
  std::string text;
  for (const auto& [name, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  return text;
}

std::string forecast_text(const Forecast& f) {
  return fmt::format("predicted peak memory: {} (weights {}, trained {}, optimiser {}, activations {}, process {})",
                     bytes_text(f.total()), bytes_text(f.weights), bytes_text(f.trained), bytes_text(f.optimiser),
                     bytes_text(f.activations), bytes_text(f.process));
}

std::optional<Adapter> open_adapter(const LoraFlags& lora, const LoraConfig& config, const CausalLm& model,
                                    const std::string& model_folder, std::uint64_t seed) {
  if (lora.full) return std::nullopt;
  Adapter adapter;
  if (lora.init_adapter) {
    std::vector<std::string> warnings;
    adapter = load_adapter(*lora.init_adapter, model.device(), model.linear_shapes(), true, &warnings);
    for (const std::string& warning : warnings) warn(warning);
  } else {
    adapter = make_adapter(model.device(), config, model.linear_shapes(), seed);
  }
  adapter.base_model = model_folder;
  return adapter;
}

}  // namespace

int run_train(const Words& words) {
  Flags flags("train", "Trains a LoRA adapter on a frozen model and writes it as PEFT does.");
  std::string model_folder;
  TrainingFlags training;
  LoraFlags lora;
  DataFlags data_flags;
  ComputeFlags compute;
  flags.text("model", model_folder, "DIR", "a Hugging Face model folder");
  flags.require({"model"});
  lora.add(flags);
  training.add(flags);
  data_flags.add(flags);
  compute.add(flags);
  if (!flags.parse(words)) return print(flags.help()), 0;
  training.finish();
  lora.check(flags);
  require_folder(model_folder);
  if (lora.init_adapter) require_folder(*lora.init_adapter);
  require_apart(training.output, {model_folder, lora.init_adapter.value_or(model_folder)});

  catch_interrupts();
  DevicePtr device = compute.device();
  LoadOptions load = compute.load_options();
  load.trainable = lora.full;
  // On the meta device no weight is touched: what can be checked is checked, and the forecast made, before the model
  // is.
  std::unique_ptr<CausalLm> outline = load_model(model_folder, meta_device(device), load);
  LoraConfig config = lora.full ? LoraConfig() : lora.config(outline->config().model_type);
  if (!lora.full) check_targets(config.target_modules, outline->linear_shapes());
  std::optional<Tokenizer> tokenizer = find_tokenizer(model_folder);
  TrainingData data = open_training_data(training, data_flags, pointer(tokenizer), outline->config());
  TrainingOutput output(training.output, training.overwrite);
  Forecast forecast =
      forecast_training(model_folder, load, lora.full ? nullptr : &config, training.options, data.train, device);
  outline.reset();

  std::unique_ptr<CausalLm> model = load_model(model_folder, device, load);
  std::optional<Adapter> adapter = open_adapter(lora, config, *model, model_folder, training.options.seed);
  if (adapter) model->attach(*adapter);
  std::int64_t trainable = adapter ? adapter->parameters() : model->parameter_count();
  std::int64_t all = model->parameter_count() + (adapter ? trainable : 0);
  warn_of_bad_weights(*model);
  report_plan(training, trainable_parameters_text(trainable, all));
  if (adapter)
    report_plan(training, fmt::format("adapted modules: {} ({})", adapter->modules.size(), matched_modules(*adapter)));
  report_data(training, data);
  report_plan(training, forecast_text(forecast));

  TrainResult result = run_training(*model, adapter ? &*adapter : nullptr, data, training, output);
  CardFacts facts = card_facts(training, data_flags, data, result);
  facts.base_model = model_folder;
  facts.trainable = trainable;
  facts.parameters = all;
  if (adapter)
    output.save_adapter(*adapter, model_card(facts, &*adapter));
  else
    output.save_checkpoint(*model, model_folder, model_card(facts, nullptr));
  output.commit();
  return report_result(training, result, trainable, all);
}

}  // namespace loragrad

#include <fmt/format.h>

#include <filesystem>

#include "app/commands.h"
#include "app/device_memory.h"
#include "app/flags/run_config.h"
#include "app/fresh_folder.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "app/training/resume.h"
#include "app/training/training_plan.h"
#include "app/training/training_report.h"
#include "app/training/training_run.h"
#include "engine/error.h"
#include "io/atomic.h"
#include "models/files/write_model.h"
#include "ops/meta_device.h"
#include "train/process_memory.h"

namespace loragrad {
namespace {

/// A tokenizer.json by itself, or with the files beside it, read as they are in the folder of the model that is made. A
/// file of another name stands alone.
Tokenizer given_tokenizer(const std::optional<std::string>& path, const std::string& config_file) {
  if (!path) return Tokenizer::bytes();
  namespace fs = std::filesystem;
  fs::path given(*path), file = fs::is_directory(given) ? given / "tokenizer.json" : given;
  fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  bool beside = false;
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"})
    beside |= fs::exists(folder / name);
  bool alone = fs::is_directory(given) ? fs::exists(file) && !beside : file.filename() != "tokenizer.json" || !beside;
  Tokenizer tokenizer =
      alone ? Tokenizer::from_file(file.string()) : Tokenizer::from_folder(folder.string(), config_file);
  for (const std::string& warning : tokenizer.warnings()) warn(warning);
  return tokenizer;
}

void check_vocabulary(const std::string& config_file, std::int64_t vocab_size, const Tokenizer& tokenizer) {
  if (vocab_size >= tokenizer.vocab_size()) return;
  throw InputError(fmt::format("{}: vocab_size: expected at least the {} tokens of {}, found {}", config_file,
                               tokenizer.vocab_size(),
                               tokenizer.source().empty() ? "the bytes tokenizer" : tokenizer.source(), vocab_size));
}

/// Weights, gradients and two moments are four f32 a parameter. On the meta device the model is only counted, so that a
/// size beyond the machine is refused before anything is allocated.
void check_size(const std::string& config_file, const DevicePtr& device) {
  std::int64_t parameters = new_model(config_file, meta_device(device), 0)->parameter_count();
  auto needed = static_cast<std::size_t>(parameters) * 4 * sizeof(float), memory = physical_bytes();
  if (needed > memory)
    throw InputError(
        fmt::format("{}: expected a model that can be trained in this machine's {}, found {} parameters, "
                    "which take {}",
                    config_file, bytes_text(memory), grouped(parameters), bytes_text(needed)));
}

/// The card of a model without a base.
std::string card(const CardFacts& facts, const ModelConfig& config) {
  std::string text = "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- loragrad\n---\n\n";
  text += fmt::format("# A {} model of {} parameters\n\n", config.model_type, grouped(facts.parameters));
  text += fmt::format("Trained from scratch with loragrad on `{}` ({} rows, {} supervised tokens): {} steps, {} tokens",
                      facts.data, facts.rows, facts.supervised_tokens, facts.result.steps, facts.result.tokens);
  if (facts.result.loss) text += fmt::format(", loss {:.4f} at the last", *facts.result.loss);
  if (facts.result.eval) text += fmt::format(", {:.4f} on `{}`", facts.result.eval->loss, facts.eval_data);
  return text + ".\n";
}

}  // namespace

int run_pretrain(const Words& words) {
  Flags flags("pretrain", "Trains all parameters of a new model from scratch and writes a Hugging Face model folder.");
  std::string config_file;
  std::optional<std::string> tokenizer_file;
  TrainingFlags training;
  DataFlags data_flags;
  DeviceFlags device_flags;
  flags.text("config-json", config_file, "FILE", "config.json of the model to make");
  flags.text("tokenizer", tokenizer_file, "PATH",
             "tokenizer.json, or a folder with a tokenizer's files (default: 256 bytes and an end token)");
  training.add(flags);
  flags.require({"config-json", "output"});
  data_flags.add(flags);
  device_flags.add(flags);
  if (!flags.parse(words)) return print(flags.help()), 0;
  std::vector<InputPath> inputs{{"config-json", config_file}};
  if (tokenizer_file) inputs.push_back({"tokenizer", *tokenizer_file});
  if (data_flags.chat.chat_template) inputs.push_back({"chat-template", *data_flags.chat.chat_template});
  training.finish(std::move(inputs));

  catch_interrupts();
  ChosenDevice chosen = device_flags.open(training.max_memory);
  // What can be checked is checked, and the forecast made, before the parameters are.
  std::unique_ptr<CausalLm> outline = new_model(config_file, meta_device(chosen.device()), training.options.seed);
  warn_of_config(*outline);
  FreshFolder folder(config_file, given_tokenizer(tokenizer_file, config_file), outline->config().eos_token_ids);
  check_vocabulary(config_file, outline->config().vocab_size, folder.tokenizer());
  ModelConfig config = outline->config();
  config.eos_token_ids = folder.end_tokens();
  RunFolder output(training.output, training.overwrite, training.save.resume);
  std::optional<Checkpoint> from = find_checkpoint(training, output);
  TrainingData data = open_training_data(training, data_flags, &folder.tokenizer(), config, "", std::nullopt);
  auto forecast = [&](const TrainOptions& options, const DevicePtr& like) {
    stop_if_interrupted();
    return forecast_pretraining(config_file, options, data.train, like, pointer(data.eval));
  };
  std::int64_t parameters = outline->parameter_count();
  outline.reset();
  MemoryPlan memory = chosen.on_what_fits([&](const DevicePtr& device) {
    if (device->shares_host_memory()) check_size(config_file, device);
    return plan_within_limit(training, data.train, device, forecaster(device, device_flags.thread_count(), forecast),
                             from.has_value());
  });

  report_plan(training, fmt::format("new {} model: {} parameters", config.model_type, grouped(parameters)));
  report_data(training, data, from ? &from->state : nullptr);
  report_memory(training, memory);
  auto record = [&] {
    RunRecord record = run_record(training, data_flags, data, memory.options, device_flags.words(*chosen.device()),
                                  from ? &from->state : nullptr);
    record.base = folder.config_hash();
    record.options.emplace_back("tf32", device_flags.tf32 ? "yes" : "no");
    return record;
  };
  if (from) {
    check_resume(training, *from, record());
    if (std::string why = nothing_left(training, data, output, *from); !why.empty()) {
      output.begin(true);  // a crash at the very end may have left something
      return report_nothing(training, why, *from, {parameters, parameters, memory});
    }
  }
  TrainingOutcome outcome = beside_forecast(memory.forecast, [&] {
    stop_if_interrupted();
    std::unique_ptr<CausalLm> model = new_model(config_file, chosen.device(), training.options.seed);
    stop_if_interrupted();
    TrainingOutcome outcome = run_training(*model, nullptr, data, training,
                                           {.options = memory.options,
                                            .output = output,
                                            .tokenizer = &folder.tokenizer(),
                                            .record = record,
                                            .config = run_config_text(flags, memory.options, *chosen.device()),
                                            .from = from ? &*from : nullptr});
    CardFacts facts = card_facts(training, data_flags, data, outcome.result);
    facts.trainable = facts.parameters = parameters;
    output.save([&](const std::string& place) {
      folder.write(place);
      write_model(*model, place, place);
      write_file(place + "/README.md", card(facts, config));
    });
    return outcome;
  });
  return report_result(training, outcome, {parameters, parameters, memory});
}

}  // namespace loragrad

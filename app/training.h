#pragma once
#include <optional>
#include <string>

#include "app/flags.h"
#include "app/inputs.h"
#include "app/paths.h"
#include "app/samples.h"
#include "app/save_flags.h"
#include "io/json.h"
#include "train/checkpoint.h"
#include "train/memory_plan.h"
#include "train/model_card.h"
#include "train/output.h"
#include "train/run_folder.h"
#include "train/time_profile.h"
#include "train/trainer.h"

namespace loragrad {

/// What train and pretrain have in common: the flags of the run, its reports, its end.
struct TrainingFlags {
  TrainOptions options;
  std::string data, output, schedule = "linear";
  std::optional<std::string> eval_data, metrics;
  std::vector<std::string> sample_prompts;
  SaveFlags save;
  std::optional<std::size_t> max_memory;
  bool no_shuffle = false, overwrite = false, json = false;

  /// --data is required; whether --output is, the subcommand says.
  void add(Flags& flags);
  /// Brings `options` up to date with the flags and checks them, and that the outputs lie apart from `data` and the
  /// other inputs (app/paths.h).
  void finish(std::vector<InputPath> inputs);
};

/// The two data sets of a run, the adapters that rows of the second choose, and what is continued meanwhile.
struct TrainingData {
  Dataset train;
  std::optional<Dataset> eval;
  std::vector<SamplePrompt> samples = {};
  std::vector<WeightedAdapter> eval_adapters = {};
};
/// Opens them, and says what of them cannot be learnt; UsageError when the schedule leaves no step a learning rate.
/// `folder` is the model's, empty for a new one. `adapters` are the names that rows of the evaluation data may choose;
/// nullopt: they choose none. What is chosen is opened later.
TrainingData open_training_data(const TrainingFlags& flags, const DataFlags& data, const Tokenizer* tokenizer,
                                const ModelConfig& config, const std::string& folder,
                                const std::optional<std::vector<std::string>>& adapters);

/// What is known before the first step: to stdout, or with --json to stderr.
void report_plan(const TrainingFlags& flags, const std::string& line);
/// How --max-tokens-per-batch fills micro-batches, beside what rows would give; "" without it.
std::string filling_text(const Dataset& data, const TrainOptions& options);
/// The plan's lines about the data.
void report_data(const TrainingFlags& flags, const TrainingData& data);

/// The options of a run on `device` (which was opened with the limit) as --max-memory needs them, with their forecast;
/// without the flag as they are.
/// OutOfMemory when no way to run is within the limit. Where the forecast is above what is available it is too, on a
/// device with memory of its own, and else a warning. `goes_on`: from a checkpoint, so that rows stay as they were cut.
MemoryPlan plan_within_limit(const TrainingFlags& flags, const Dataset& data, const DevicePtr& device,
                             const Forecaster& forecast, bool goes_on);
/// The plan's lines about memory.
void report_memory(const TrainingFlags& flags, const MemoryPlan& plan);
/// {"predicted_peak_bytes", "predicted": {part: bytes}, "checkpoint_activations", "rows_at_once"}; of a device with
/// memory of its own "predicted_host_bytes" too.
Json::Object memory_json(const MemoryPlan& plan);

/// What came of a run.
struct TrainingOutcome {
  TrainResult result;
  Json::Array samples;         ///< the last, as app/samples.h has them
  std::string not_saved = {};  ///< why the last checkpoint that was due is not there; "" where it is
};

/// What a run has beside what it trains.
struct TrainingRun {
  const TrainOptions& options;  ///< the flags', as --max-memory changed them
  RunFolder& output;
  const Tokenizer* tokenizer = nullptr;  ///< for samples
  std::function<RunRecord()> record;     ///< for checkpoints
  std::string config;                    ///< run.yaml's text
  const Checkpoint* from = nullptr;      ///< which the run goes on from
  TimeProfile* times = nullptr;          ///< told of phases and steps
};
/// Trains with progress, metrics and checkpoints. Signals end it after a step. Where it is evaluated more than once, the
/// adapter of the lowest loss is kept in the output.
TrainingOutcome run_training(const CausalLm& model, const Adapter* adapter, const TrainingData& data,
                             const TrainingFlags& flags, const TrainingRun& run);

/// {"loss", "perplexity", "supervised_tokens", "tokens", "rows", "seconds"}
Json eval_json(const EvalReport& report);

/// The model card's facts, as far as the flags and the data tell them.
CardFacts card_facts(const TrainingFlags& flags, const DataFlags& data_flags, const TrainingData& data,
                     const TrainResult& result);

/// Puts the output in place, and where it could not go to --output any more, warns and says so in `output`.
void commit_output(OutputFolder& folder, std::string& output);

/// Says how the run ended, after it has been saved; returns the exit code: 0, or 128 + signal when it was interrupted.
/// IoError where a checkpoint that was due is missing.
/// `profile` is a key of the JSON where it is not null.
/// `best_folder` is where the best adapter lies, empty where there is none.
int report_result(const TrainingFlags& flags, const TrainingOutcome& outcome, std::int64_t trainable,
                  std::int64_t parameters, const MemoryPlan& memory, const std::string& best_folder = "",
                  const Json& profile = {});

/// The same of a run that had no step left to take, and why.
int report_nothing(const TrainingFlags& flags, const std::string& why, const Checkpoint& done, std::int64_t trainable,
                   std::int64_t parameters, const MemoryPlan& memory, const std::string& best_folder = "");

}  // namespace loragrad

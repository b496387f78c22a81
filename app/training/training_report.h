#pragma once
#include <string>

#include "app/flags/training_flags.h"
#include "app/inputs.h"
#include "app/training/training_data.h"
#include "app/training/training_run.h"
#include "io/json.h"
#include "train/memory_plan.h"
#include "train/model_card.h"

namespace loragrad {

/// {"loss", "perplexity", "supervised_tokens", "tokens", "rows", "seconds"}
Json eval_json(const EvalReport& report);

/// The model card's facts, as far as the flags and the data tell them.
CardFacts card_facts(const TrainingFlags& flags, const DataFlags& data_flags, const TrainingData& data,
                     const TrainResult& result);

/// What the end's report says of the run beside what came of it.
struct RunFacts {
  std::int64_t trainable, parameters;  ///< numbers of them: what is trained, and all
  const MemoryPlan& memory;
  std::string best_folder = {};  ///< where the best adapter lies, "" where there is none
  Json profile = {};             ///< a key of the JSON, where it is not null
};

/// Says how the run ended, after it has been saved; returns the exit code: 0, or 128 + signal when it was interrupted.
/// IoError where a checkpoint that was due is missing.
int report_result(const TrainingFlags& flags, const TrainingOutcome& outcome, const RunFacts& run);

/// The same of a run that had no step left to take, and why.
int report_nothing(const TrainingFlags& flags, const std::string& why, const Checkpoint& done, const RunFacts& run);

}  // namespace loragrad

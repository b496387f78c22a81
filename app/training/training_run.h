#pragma once
#include <functional>
#include <string>

#include "app/flags/training_flags.h"
#include "app/training/training_data.h"
#include "io/json.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"
#include "train/time_profile.h"
#include "train/trainer.h"

namespace loragrad {

/// What came of a run.
struct TrainingOutcome {
  TrainResult result;
  Json::Array samples;         ///< the last, as app/training/samples.h has them
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

}  // namespace loragrad

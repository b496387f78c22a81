#pragma once
#include <optional>
#include <string>
#include <vector>

#include "app/flags/flags.h"
#include "app/flags/save_flags.h"
#include "app/paths.h"
#include "train/trainer.h"

namespace loragrad {

/// What train and pretrain have in common: the flags of the run.
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

}  // namespace loragrad

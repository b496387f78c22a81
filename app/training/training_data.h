#pragma once
#include <optional>
#include <string>
#include <vector>

#include "app/flags/training_flags.h"
#include "app/inputs.h"
#include "app/training/samples.h"

namespace loragrad {

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

}  // namespace loragrad

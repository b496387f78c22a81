#include "app/training/training_data.h"

#include "app/end_tokens.h"
#include "app/terminal/interrupt.h"
#include "app/training/learnable.h"

namespace loragrad {

TrainingData open_training_data(const TrainingFlags& flags, const DataFlags& data, const Tokenizer* tokenizer,
                                const ModelConfig& config, const std::string& folder,
                                const std::optional<std::vector<std::string>>& adapters) {
  TrainingData sets{data.open(flags.data, "train", tokenizer, config, folder, std::nullopt), std::nullopt};
  stop_if_interrupted();
  if (flags.eval_data) sets.eval = data.open(*flags.eval_data, "valid", tokenizer, config, folder, adapters);
  stop_if_interrupted();
  check_rates(flags.options, static_cast<std::int64_t>(sets.train.rows.size()));
  if (!data.no_eos) warn_of_end_tokens(config, tokenizer, sets.train);
  warn_of_rows(sets.train);
  if (sets.eval) warn_of_rows(*sets.eval);
  sets.samples = sample_prompts(flags.sample_prompts, tokenizer, config, folder);
  return sets;
}

}  // namespace loragrad

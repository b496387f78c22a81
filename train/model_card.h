#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lora/adapter.h"
#include "train/trainer.h"

namespace loragrad {

/// What a model card tells of a run.
struct CardFacts {
  std::string base_model;       ///< as adapter_config.json has it
  std::string base_hash;        ///< models/files/base_hash.h; may be empty
  std::string data, eval_data;  ///< names of the data sets; eval_data may be empty
  std::int64_t rows = 0, supervised_tokens = 0, seq_len = 0;
  std::int64_t trainable = 0, parameters = 0;  ///< of parameters, what was trained
  TrainOptions options;
  TrainResult result;
  /// Whether the run left one adapter, or of two this is the last, or the one of the best evaluation in best/ within.
  enum class Which { only, last, best } which = Which::only;
};

/// README.md as the Hugging Face hub reads it: YAML front matter (base_model, library_name, tags), what was trained on
/// what and how, the final losses, and how to load it. `adapter` null: all parameters were trained.
std::string model_card(const CardFacts& facts, const Adapter* adapter);

/// The hash of its base that an adapter's card has; nothing where there is no card, or none of ours.
std::optional<std::string> card_base_hash(const std::string& adapter_folder);

/// README.md of an adapter that was not trained but made of `sources`, which are listed behind the sentence `how`
/// ("Combined with loragrad:"). `base_hash` may be empty.
std::string made_adapter_card(const std::string& base_model, const std::string& base_hash, const std::string& how,
                              const std::vector<std::string>& sources);

/// README.md of a base with adapters merged into it; `adapters` as the user named them.
std::string merged_card(const std::string& base_model, const std::vector<std::string>& adapters);

/// Whether this is the text of a model card that loragrad wrote: its front matter has the tag.
bool is_our_card(std::string_view text);

}  // namespace loragrad

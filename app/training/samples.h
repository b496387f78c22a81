#pragma once
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "io/json.h"
#include "models/model.h"

namespace loragrad {

/// A text that a training is to continue while it goes on (--sample-prompt).
struct SamplePrompt {
  std::string text;
  std::vector<TokenId> ids;
};

/// UsageError where there is no tokenizer (`folder` is the model's), and for a prompt that leaves no position to
/// continue at.
std::vector<SamplePrompt> sample_prompts(const std::vector<std::string>& texts, const Tokenizer* tokenizer,
                                         const ModelConfig& config, const std::string& folder);

/// What a model in training writes: for each prompt a line on stderr with the likeliest 48 tokens at most.
class Samples {
 public:
  /// All outlive it. `adapter` null: all parameters are trained.
  Samples(const CausalLm& model, const Adapter* adapter, const Tokenizer* tokenizer,
          const std::vector<SamplePrompt>& prompts);
  /// Once for each step; an interrupt ends it.
  void write(std::int64_t step);
  /// [{"prompt", "text"}, ...] of the last time.
  const Json::Array& last() const { return last_; }

 private:
  const CausalLm& model_;
  ActiveAdapters adapters_;
  const Tokenizer* tokenizer_;
  const std::vector<SamplePrompt>& prompts_;
  std::int64_t step_ = -1;
  Json::Array last_;
};

}  // namespace loragrad

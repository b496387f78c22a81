#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "models/model.h"
#include "optim/adamw.h"

namespace loragrad {

/// Share of the rows whose whole completion, end token included, greedy decoding would give. One forward pass shows it:
/// decoding reaches the completion exactly if, after every prefix of it, the next token is the likeliest.
double exact_share(const CausalLm& model, const ActiveAdapters& adapters, const Dataset& rows);

/// Logits of every token of the first rows, one after the other.
std::vector<float> sample_logits(const CausalLm& model, const ActiveAdapters& adapters, const Dataset& rows);
double largest_difference(const std::vector<float>& a, const std::vector<float>& b);

/// What the greedy model adds to a prompt, at most `most` tokens, end token left out.
std::string continuation(const CausalLm& model, const ActiveAdapters& adapters, const Tokenizer& tokenizer,
                         const std::string& prompt, std::int64_t most);

/// One kind of training, on a device of its own so that its memory is counted alone.
class StepMeter {
 public:
  /// An adapter of this configuration, or with a null one all parameters.
  StepMeter(const std::string& base_folder, const LoraConfig* lora, int threads);
  /// One step on these rows as the trainer takes it; returns its seconds.
  double step(const std::vector<const Row*>& rows);

  std::size_t trained_parameters() const;
  std::size_t gradient_bytes() const { return gradient_bytes_; }  ///< of the last step
  std::size_t optimizer_bytes() const { return optimizer_.state_bytes(); }
  /// The most that weights (mapped or not), gradients, moments, activations and scratch took together, of all steps.
  std::size_t peak_bytes() const;
  std::size_t modules() const { return adapter_.modules.size(); }

 private:
  DevicePtr device_;
  std::unique_ptr<CausalLm> model_;
  Adapter adapter_;
  std::vector<Tensor> trained_;
  AdamW optimizer_;
  std::size_t gradient_bytes_ = 0;
};

/// Median seconds of a step of each, measured in turns so that whatever else the machine does strikes both alike.
struct StepSeconds {
  double lora = 0, full = 0;
};
StepSeconds time_steps(StepMeter& lora, StepMeter& full, const Dataset& rows, std::size_t rows_per_step, int rounds);

/// A model as it is used.
struct DemoModel {
  const CausalLm* base = nullptr;
  ActiveAdapters adapters = {};
};

/// Decoding the row's tokens one by one, each model in turns, several rounds.
struct DecodingTimes {
  std::vector<double> seconds;  ///< each model's median
  /// Each model's seconds against the first's of the same round, median: what slows the machine for longer than a round
  /// strikes both.
  std::vector<double> against_first;
};
DecodingTimes time_decoding(const std::vector<DemoModel>& models, const Row& row, int rounds);

}  // namespace loragrad

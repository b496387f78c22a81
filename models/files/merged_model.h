#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <string>
#include <vector>

#include "models/model.h"

namespace loragrad {

struct MergeReport {
  std::int64_t tensors = 0;             ///< in the model
  std::int64_t merged = 0;              ///< of them, changed by an adapter
  double largest_logit_difference = 0;  ///< merged against base + adapters, over a row of `sample_tokens` random ids
  double largest_adapter_effect = 0;    ///< base + adapters against the base: what to compare the difference with
  double largest_logit = 0;             ///< of base + adapters, in absolute value
  std::int64_t sample_tokens = 0;
  double kept = 1;  ///< share of the adapters' change that rounding left (lora/merge/merge.h), of all weights
  DType lost_to = DType::f32;    ///< the type of the weight that kept least
  std::string least;             ///< its name
  double least_kept = 1;         ///< and its share
  std::int64_t mostly_lost = 0;  ///< weights that kept less than half
};

/// Writes into the existing folder `output` a full model: the tensors of `model_folder` in their own dtypes, those
/// that adapters are for replaced by merge_weight's result, as ShardedWriter writes them with `shard_bytes`; a copy of the
/// embedding that a tied model's head was stored as is left out, as in what transformers saves. Where one of two tied
/// ones is changed both are written, and config.json says that they are not tied. config.json,
/// generation_config.json, chat templates and the tokenizer's files are copied. One merged weight at a time is in memory. The result is
/// then loaded, and compared with the base and its adapters in the type that `model` computes in; f32 shows what a
/// coarser one would hide. NumericError for NaN or Inf in base, adapters, result or logits. `model` is the folder's
/// model, with the adapters' parameters of the base in their places.
MergeReport write_merged_model(const CausalLm& model, const std::string& model_folder,
                               const std::vector<WeightedAdapter>& adapters, const std::string& output,
                               std::uint64_t shard_bytes = 5'000'000'000);

}  // namespace loragrad

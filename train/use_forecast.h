#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <string>
#include <vector>

#include "train/evaluate.h"
#include "train/forecast.h"

namespace loragrad {

// What using a model takes: `outline` is the model on a meta device, `adapters` are on that too, and nothing else is.
// They count none of mapped files.

/// The largest batch that an evaluation with these options takes; with logits, one row's on a host that does not share
/// the device's memory.
Forecast forecast_evaluation(const CausalLm& outline, const std::vector<WeightedAdapter>& adapters, const Dataset& data,
                             const EvalOptions& options);

/// The pass of the longest prompt, and that of the last token that may come in each of `rows` rows at once, with the
/// cache of all of them.
Forecast forecast_generation(const CausalLm& outline, const std::vector<WeightedAdapter>& adapters,
                             std::int64_t prompt_tokens, std::int64_t max_tokens, std::int64_t rows = 1);

/// A merge of the largest weight, on the device and on the host, and the comparison of the result, a second model, with
/// the first.
Forecast forecast_merge(const CausalLm& outline, const std::string& model_folder,
                        const std::vector<WeightedAdapter>& adapters);

}  // namespace loragrad

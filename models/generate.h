#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/model.h"

namespace loragrad {

struct GenerateOptions {
  std::int64_t max_tokens = 128;
  double temperature = 0;  ///< 0: the likeliest token; else logits are divided by it and a token is drawn
  double top_p = 1;  ///< draws from the likeliest tokens whose probabilities reach it together   Holtzman et al. 2020
  std::uint64_t seed = 0;
  ActiveAdapters adapters = {};
  std::vector<std::int32_t> end_tokens = {};  ///< each of them ends it; empty: those of the model's config

  /// UsageError naming the first flag out of range.
  void check() const;
};

/// Continues one row by up to max_tokens tokens; ends after an end token (which is returned too), at the model's last
/// position, or when `on_token` returns false. Equal seeds give equal tokens. InputError for an empty prompt, a prompt
/// that leaves no position free, or an id outside the vocabulary; NumericError for logits that are NaN.
std::vector<std::int32_t> generate(const CausalLm& model, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options,
                                   const std::function<bool(std::int32_t token)>& on_token = {});

}  // namespace loragrad

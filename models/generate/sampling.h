#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/random.h"

namespace loragrad {

/// How a row is continued.
struct GenerateOptions {
  std::int64_t max_tokens = 128;
  double temperature = 0;  ///< 0: the likeliest token; else logits are divided by it and a token is drawn
  double top_p = 1;  ///< draws from the likeliest tokens whose probabilities reach it together   Holtzman et al. 2020
  std::uint64_t seed = 0;
  std::vector<std::int32_t> end_tokens = {};  ///< each of them ends it; empty: those of the model's config
  std::string adapter = "";                   ///< the row's name in ActiveAdapters::for_rows
  bool reuse_keys = false;                    ///< where it begins as the row before it (BatchDecoder::add)

  /// UsageError naming the first flag out of range.
  void check() const;
};

/// A token drawn from logits, none of them NaN; temperature > 0.
std::int32_t sample(std::vector<double> logits, const GenerateOptions& options, Random& random);

}  // namespace loragrad

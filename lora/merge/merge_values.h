#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lora/merge/combine.h"

namespace loragrad {

/// One adapter's values of a matrix, and how much of them.
struct WeightedValues {
  std::vector<double> values;
  double weight = 1;
};

/// Sets to zero what the method does not keep (lora/merge/combine.h), and divides by density what dare keeps. Of equal sizes
/// the first are kept. What dare keeps is drawn from a stream of its own: of the seed, the name and the adapter's number.
void prune_values(const CombineOptions& options, const std::string& name, std::uint64_t adapter,
                  std::vector<double>& values);

/// Σ weight · value; with ties' methods, the mean over those adapters whose value has the sign of Σ value.
std::vector<double> merged_values(CombineMethod method, const std::vector<WeightedValues>& adapters);

}  // namespace loragrad

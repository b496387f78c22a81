#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/files/merged_model.h"

namespace loragrad {

/// The tensors' files of a merged model, and what of the report is known by them. One tensor at a time is in memory. Of a
/// tied model whose embedding or head is adapted or trained whole both are written, each its own; trained rows belong to
/// both, which stay one.
struct MergedTensors {
  MergeReport report;
  bool untied = false;
};
MergedTensors write_merged_tensors(const CausalLm& model, const std::string& model_folder,
                                   const std::vector<WeightedAdapter>& adapters, const std::string& folder,
                                   std::uint64_t shard_bytes);

}  // namespace loragrad

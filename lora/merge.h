#pragma once
#include <vector>

#include "engine/weight.h"
#include "lora/adapter.h"

namespace loragrad {

/// One adapter's part in a merge.
struct MergeTerm {
  const LoraModule* module = nullptr;
  double weight = 1;
};

/// W' = W + Σ weight_i s_i B_i A_i  (transposed for an [in, out] weight), accumulated in f32 (f64 for an f64 base) and
/// rounded once to W's own dtype (bf16, f16, f32, f64). Returns the bytes as W's file has them. NumericError naming
/// `name` for NaN or Inf in W, the adapters or the result.
std::vector<std::byte> merge_weight(const std::string& name, const Weight& w, const std::vector<MergeTerm>& terms);

}  // namespace loragrad

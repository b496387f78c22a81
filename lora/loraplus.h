#pragma once
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// LoRA+: what the learning rate of each of adapter.tensors() is multiplied by: `ratio` for B and for vectors (biases,
/// magnitudes), 1 for all others, as PEFT groups them.   Hayou, Ghosh & Yu 2024, "LoRA+: Efficient Low Rank Adaptation"
std::vector<double> loraplus_ratios(const Adapter& adapter, double ratio);

}  // namespace loragrad

#pragma once
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// LoRA+: what the learning rate of each of adapter.tensors() is multiplied by: `ratio` for B and for vectors (biases,
/// magnitudes), 1 for all others, as PEFT groups them; A and B of an embedding are a third group, whose rate is 1e-6
/// whatever `lr` is. With a ratio of 1, which is no LoRA+, all are 1.
///                                                  Hayou, Ghosh & Yu 2024, "LoRA+: Efficient Low Rank Adaptation"
std::vector<double> loraplus_ratios(const Adapter& adapter, double ratio, double lr);

}  // namespace loragrad

#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "lora/lora_linear.h"
#include "ops/cross_entropy.h"

namespace loragrad {

/// cross_entropy (ops/cross_entropy.h) with the map W, which has no bias, and its terms for a head:
///   z_t = cap(x_t Wᵀ + Σ_i s_i (drop_i(x_t) A_iᵀ) B_iᵀ)
/// It is lora_down and cross_entropy, so logits never exist as a whole. UsageError for a term with a bias of B or a
/// magnitude.
CrossEntropy lora_cross_entropy(const Tensor& x, const LoraMap& head, const Targets& targets, double denominator,
                                double soft_cap = 0);

/// y = x Wᵀ and the terms, which are as above, in y's type; nothing is recorded.
void lora_logits(const Tensor& x, const LoraMap& head, Matrix y);

}  // namespace loragrad

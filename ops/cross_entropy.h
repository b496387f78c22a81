#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <span>

#include "engine/parameter.h"

namespace loragrad {

/// The tokens that have a loss, in order, and the ids that they are to predict.
struct Targets {
  Tensor tokens, ids;     ///< [count, 1] i32
  std::int64_t rows = 0;  ///< of x: all tokens
  std::int64_t count() const { return tokens.defined() ? tokens.rows() : 0; }
};
/// `ids` has one for each token, already shifted; negative ones (-100, say) are no targets.
Targets make_targets(const DevicePtr& device, std::span<const std::int32_t> ids);

struct CrossEntropy {
  Tensor loss;  ///< [1, 1] f32 (f64 for f64 x): the sum over supervised tokens divided by `denominator`
  Tensor sum;   ///< [1, 1] f64: added in the order of tokens
};

/// The language-model head and its loss in one op; logits never exist as a whole (engine/kernels.h: head_loss).
///   loss = sum over targets of (logsumexp(z_t) - z_t[id]) / denominator,   z_t = cap(x_t Wᵀ)
/// cap(z) = soft_cap tanh(z / soft_cap) (Gemma 2 report, 2024), or z where soft_cap is 0.
/// x [tokens, d], W [vocab, d]. Tokens without a target are never multiplied. dx (and dW for a trained head) are
/// computed with the logits, when they are needed, and kept for backward:
///   dz_t = cap' ∘ (softmax(z_t) - onehot(id)) / denominator,  dx = dz W,  dW = dzᵀ x
CrossEntropy cross_entropy(const Tensor& x, const Parameter& head, const Targets& targets, double denominator,
                           double soft_cap = 0);

}  // namespace loragrad

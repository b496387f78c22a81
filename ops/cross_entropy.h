#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <span>
#include <vector>

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

/// What an adapter adds to the logits: s h_t Bᵀ, for tokens in `tokens` alone, whose h there is.
struct HeadTerm {
  Tensor h, b;  ///< [tokens, r] in x's dtype, [vocab, r]
  double scale = 1;
  IndexRange tokens = {};
};

/// The language-model head and its loss in one op; logits never exist as a whole (engine/kernels.h: head_loss).
///   loss = sum over targets of (logsumexp(z_t) - z_t[id]) / denominator,   z_t = cap(x_t Wᵀ)
/// cap(z) = soft_cap tanh(z / soft_cap) (Gemma 2 report, 2024), or z where soft_cap is 0.
/// x [tokens, d], W [vocab, d]. Tokens without a target are never multiplied. dx (and dW for a trained head) are
/// computed with the logits, when they are needed, and kept for backward:
///   dz_t = cap' ∘ (softmax(z_t) - onehot(id)) / denominator,  dx = dz W,  dW = dzᵀ x
/// With terms z_t = cap(x_t Wᵀ + Σ_i s_i h_i,t B_iᵀ), and dh_i = s_i dz B_i, dB_i = s_i dzᵀ h_i.
CrossEntropy cross_entropy(const Tensor& x, const Parameter& head, const Targets& targets, double denominator,
                           double soft_cap = 0, const std::vector<HeadTerm>& terms = {});

}  // namespace loragrad

#pragma once
#include <cstdint>

#include "engine/parameter.h"

namespace loragrad {

struct CrossEntropy {
  Tensor loss;     ///< [1, 1] f32 (f64 for f64 x): the sum over supervised tokens divided by `denominator`
  double sum = 0;  ///< sum over supervised tokens, in f64, added in the order of tokens
  std::int64_t supervised = 0;
};

/// The language-model head and its loss in one op; logits exist only as a tile of at most 64 MB.
///   loss = sum over t with targets[t] >= 0 of (logsumexp(z_t) - z_t[targets[t]]) / denominator,   z_t = x_t Wᵀ
/// x [tokens, d], W [vocab, d], targets [tokens, 1] i32 (already shifted; negative: no loss). Rows without a target are
/// never multiplied. dx (and dW for a trainable head) are computed with the tile, when they are needed, and kept for
/// backward:
///   dz_t = (softmax(z_t) - onehot(targets[t])) / denominator,  dx = dz W,  dW = dzᵀ x
CrossEntropy cross_entropy(const Tensor& x, const Parameter& head, const Tensor& targets, double denominator);

}  // namespace loragrad

#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "lora/lora_linear.h"

namespace loragrad {

/// y[t] = scale (E[ids[t]] + Σ_i s_i B_i A_i[:, ids[t]]), term i in its tokens.          Hu et al. 2021, section 4.1
/// ids [tokens, 1] i32; the map's w is E, frozen, [vocab, d] as stored [in, out]; A [r, vocab], B [d, r]
/// -> [tokens, d] of type `dtype`. It is lora_linear of a token's one-hot row, without dropout, and with no such row:
/// h_i[t] = A_i[:, ids[t]] is a node of its own. Backward, per term: dh = scale s dy B, dB = scale s dyᵀ h, and
/// dA[:, ids[t]] += dh[t] in the order of t. Of the table there is no gradient.
/// A magnitude is as in lora_linear: its c multiplies the columns of E + s (B A)ᵀ.
/// Throws ShapeError naming both shapes; UsageError for a table in training.
Tensor lora_embedding(const Tensor& ids, const LoraMap& map, DType dtype, double scale = 1);

}  // namespace loragrad

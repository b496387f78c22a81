#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <vector>

#include "engine/tensor.h"
#include "ops/dropout.h"

namespace loragrad {

/// A matrix A [r, in] of an adapter, and the dropout of what it multiplies.
struct LoraFactor {
  Tensor a;
  Dropout dropout = {};
  bool rows_alone = false;  ///< a row of h has the same bits whatever rows are beside it (GemmArgs)
};

/// h = [drop_1(x) A_1ᵀ, drop_2(x) A_2ᵀ, ...] side by side, for x's rows in `tokens`: [tokens, Σ r_i] in x's dtype.
/// One op for all maps that read the same x (q, k and v; gate and up), so that a device may read it once, and write dx
/// once. Backward, from the parts dh_i of dh:  dA_i = dh_iᵀ drop_i(x),  dx = Σ_i drop_i(dh_i A_i).  Keeps x, or its
/// recipe.
Tensor lora_down(const Tensor& x, const std::vector<LoraFactor>& factors, IndexRange tokens);

}  // namespace loragrad

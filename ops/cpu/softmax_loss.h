#pragma once
#include "engine/device.h"
#include "ops/cpu/panels.h"

namespace loragrad::cpu {

/// losses[t] = logsumexp(logits[t]) - logits[t][target], and dlogits[t] = scale (softmax(logits[t]) - onehot(target)).
/// With soft_cap > 0, logits z become soft_cap tanh(z / soft_cap) in their place first, and dlogits are of what they were.
/// Logits may lie in panels, and dlogits lies as they do, its panels with a stride of `dlogits_stride`. It may be empty
/// (data null); in panels it may lie on the logits, each panel from where the logits' begins, in a type no wider.
struct SoftmaxLossArgs {
  Matrix logits;
  const std::int32_t* targets = nullptr;
  double* losses = nullptr;  // [rows]
  Matrix dlogits;
  double scale = 1, soft_cap = 0;
  Panels panels = {};  // of a width in multiples of 256
  std::int64_t dlogits_stride = 0;
};
void softmax_loss(Device&, const SoftmaxLossArgs&);

}  // namespace loragrad::cpu

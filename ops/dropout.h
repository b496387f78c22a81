#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>

#include "engine/tensor.h"

namespace loragrad {

/// A dropout of one module in one step. Off (p = 0) outside training.
struct Dropout {
  double p = 0;
  std::uint64_t key = 0;  ///< of the seed, the step and the module's name
  Tensor tokens;          ///< [tokens, 2] i32: row in the step, position in the row
  bool on() const { return p > 0; }
  DropoutMask mask() const { return {p, key, tokens.defined() ? tokens.data<std::int32_t>() : nullptr}; }
};

/// y = x mask / (1 - p) (inverted dropout; Srivastava et al. 2014). The mask is drawn again in backward and never
/// stored.
Tensor dropout(const Tensor& x, const Dropout& config);

}  // namespace loragrad

#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <functional>

#include "engine/tensor.h"

namespace loragrad {

/// y = block(x) as one node that keeps x alone: backward runs the block again, on a tape of its own, so of all blocks
/// one at a time has its saved values in memory.                                 Chen et al. 2016, section 3
/// `block` must give the same values when it runs again (nobody may change what it reads in between), and owns what it
/// captures (it outlives the caller's scope). Leaves that it uses get their gradients as without the node; values that
/// were computed from a leaf come in through x only. Nothing is recorded where neither x nor the block's leaves need a
/// gradient. When the block runs again, values that nobody reads then, such as its output's, are not formed
/// (Tensor::formed).
Tensor recompute(const Tensor& x, std::function<Tensor(const Tensor& x)> block);

}  // namespace loragrad

#pragma once
#include <cstddef>

#include "engine/device.h"

namespace loragrad::cpu {

/// A product with dropout: dropped-out copies, of a whole operand or, where that leaves the sums as they are, of pieces
/// that stay in the cache.
void gemm_dropout(Device&, const GemmArgs&, void* scratch);
std::size_t gemm_dropout_scratch(Device&, const GemmArgs&);

}  // namespace loragrad::cpu

#pragma once
#include <cstddef>

#include "engine/device.h"

namespace loragrad::cpu {

/// Products of which an operand lies in panels. Where c does, or a that is transposed, the panels are products by
/// themselves; where a does as it lies, they are terms of a sum, which is formed in f32 (f64) in an order that the
/// shapes alone decide, and rounded once.
void gemm_panels(Device&, const GemmArgs&, void* workspace);
std::size_t gemm_panels_workspace(Device&, const GemmArgs&);

}  // namespace loragrad::cpu

#pragma once
#include <cstddef>

#include "engine/device.h"
#include "ops/cpu/panels.h"

namespace loragrad::cpu {

/// A product of which one of a and c lies in panels; then its stride means nothing, and there is no bias where a does
/// as it lies. Where c does, or a that is transposed, the panels are products by themselves; where a does as it lies,
/// they are terms of a sum, which is formed in f32 (f64) in an order that the shapes alone decide, and rounded once.
struct PanelGemm {
  GemmArgs g;
  Panels a = {}, c = {};
};
void gemm_panels(Device&, const PanelGemm&, void* workspace);
std::size_t gemm_panels_workspace(Device&, const PanelGemm&);

}  // namespace loragrad::cpu

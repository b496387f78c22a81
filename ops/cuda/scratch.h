#pragma once
#include "ops/scratch.h"

namespace loragrad::cuda {

/// Arrays are aligned for any access, as the driver's allocations are.
using Scratch = AlignedScratch<256>;

}  // namespace loragrad::cuda

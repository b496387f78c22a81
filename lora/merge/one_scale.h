#pragma once
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// The same adapter with one rank and one scale s = alpha / r for all modules, no patterns and no rsLoRA, as other
/// programs have it. Where modules have different ranks, rows of A and columns of B of zeros fill them up; where they
/// have different scales (or 0, which llama.cpp takes for none), s is 1 and each B has its own in it. Targets stay.
/// InputError for more than A and B.
Adapter with_one_scale(const Adapter& adapter);

}  // namespace loragrad

#pragma once
#include "lora/adapter.h"

namespace loragrad {

/// The same adapter for the base as its files have it: where the start took s B0 A0 out of the base, plain LoRA of
/// A' = [A; A0] and B' = [B, -B0], of twice the rank and twice the alpha (sqrt 2 times with use_rslora), which is what
/// PEFT saves too (path_initial_model_for_weight_conversion). Any other adapter is what it was.
Adapter on_original_base(const Adapter& adapter);

}  // namespace loragrad

#pragma once
#include "lora/adapter.h"
#include "lora/files/adapter_tensors.h"
#include "lora/text_part.h"

namespace loragrad {

/// How a file spells the modules of a model that spells them as `own` (lora/text_part.h).
Spelling spelling_in(const AdapterTensors& tensors, Spelling own);

/// Gives an adapter, which names modules as its file does, the model's names. Targets and patterns that speak of whole
/// names name modules one by one then.
void respell(Adapter& adapter, Spelling own);

}  // namespace loragrad

#pragma once
#include <string>

#include "train/step.h"

namespace loragrad {

/// Where the forward pass of a step whose loss was NaN or Inf first went wrong, in words. The pass is run again, with
/// the same dropout, and every linear map's input and output are looked at in order; when all of them are finite, it
/// was the head.
std::string where_not_finite(const CausalLm& model, const StepRows& rows, const PassOptions& options);

}  // namespace loragrad

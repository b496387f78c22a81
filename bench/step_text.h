#pragma once
#include <string>

#include "bench/step_run.h"

namespace loragrad::bench {

/// The tables of bench/step.
std::string step_text(const StepRun& run);

}  // namespace loragrad::bench

#pragma once
#include "app/flags/flags.h"
#include "models/generate/generate.h"

namespace loragrad {

/// How many tokens are added, and how they are drawn: --max-tokens, --temperature, --top-p and --seed, whose
/// descriptions are the command's. After parsing comes options.check().
void add_generation_flags(Flags& flags, GenerateOptions& options, const char* of_max_tokens, const char* of_seed);

}  // namespace loragrad

#pragma once
#include <cstdint>
#include <vector>

#include "app/prompts.h"
#include "models/generate/batch_decoder.h"

namespace loragrad {

/// Continues prompts, up to `rows_at_once` together, and prints a line of JSON for each, in their order, as soon as it
/// and those before it are done. A signal ends it (app/terminal/interrupt.h), or an error: rows that were done by the step before
/// are printed then, too. Returns the tokens added.
std::int64_t generate_rows(const CausalLm& model, const ActiveAdapters& adapters, const Tokenizer& tokenizer,
                           const std::vector<Prompt>& prompts, const GenerateOptions& options,
                           std::int64_t rows_at_once);

}  // namespace loragrad

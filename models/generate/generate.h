#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/generate/batch_decoder.h"

namespace loragrad {

/// The row continued by a decoder, as number 0: its tokens, until `on_token` returns false.
std::vector<std::int32_t> generate(BatchDecoder& decoder, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options,
                                   const std::function<bool(std::int32_t token)>& on_token = {});

/// How many tokens a row of `prompt` tokens can come to.
std::int64_t most_tokens(const CausalLm& model, std::int64_t prompt, const GenerateOptions& options);

/// Continues one row by up to max_tokens tokens; ends after an end token (which is returned too), at the model's last
/// position, or when `on_token` returns false. Equal seeds give equal tokens: it is row 0 of a BatchDecoder, whose
/// errors are those of this.
std::vector<std::int32_t> generate(const CausalLm& model, const ActiveAdapters& adapters,
                                   std::span<const std::int32_t> prompt, const GenerateOptions& options,
                                   const std::function<bool(std::int32_t token)>& on_token = {});

}  // namespace loragrad

#pragma once
#include "ops/scratch.h"

namespace loragrad::cpu {

/// Arrays start on cache lines.
using Scratch = AlignedScratch<64>;

/// Bytes up to the beginning of the next cache line.
constexpr std::size_t whole_lines(std::size_t bytes) { return Scratch::whole(bytes); }

}  // namespace loragrad::cpu

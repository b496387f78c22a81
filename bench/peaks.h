#pragma once
#include <optional>

#include "ops/cpu/threads.h"

/// What the processor does at most, measured on all threads of a pool.
namespace loragrad::bench {

/// FLOP/s of f32 multiply-adds between registers.
double fma_rate(cpu::ThreadPool& threads);

/// FLOP/s of the AVX-512 dot products of bf16 pairs; none where the processor has no such instruction.
std::optional<double> bf16_dot_rate(cpu::ThreadPool& threads);

/// Bytes/s that z = x + s y reads and writes when the three arrays have `bytes` in all (at most 192 MiB): from the
/// cache where they fit, else from memory. On one thread or all, whichever is faster.
double stream_rate(cpu::ThreadPool& threads, double bytes);

}  // namespace loragrad::bench

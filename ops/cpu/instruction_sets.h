#pragma once
#include <string_view>

#include "engine/kernels.h"

/// The instruction sets that our kernels are compiled for (docs/design/013).
namespace loragrad::cpu {

struct InstructionSet {
  std::string_view name;  // baseline, avx2, avx512, avx512_bf16
  const Kernels& kernels;
  bool has_bf16;  // whether it multiplies bf16
};

/// The best that the processor and the system have and the environment's LORAGRAD_MAX_CPU_ISA allows, found once;
/// UsageError where that names none of them.
const InstructionSet& instruction_set();

/// Whether bf16 is multiplied as bf16: the library does so, and the instruction set has it.
bool has_bf16();

}  // namespace loragrad::cpu

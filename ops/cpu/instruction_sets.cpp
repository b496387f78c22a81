#include "ops/cpu/instruction_sets.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <string>

#include "engine/error.h"
#include "ops/cpu/gemm_library.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

// One of each set that ops/cpu/meson.build compiles.
extern "C" {
extern const loragrad::Kernels loragrad_kernels_baseline;
#if defined(__x86_64__)
extern const loragrad::Kernels loragrad_kernels_avx2, loragrad_kernels_avx512, loragrad_kernels_avx512_bf16;
#endif
}

namespace loragrad::cpu {
namespace {

#if defined(__x86_64__)

enum Register { eax, ebx, ecx, edx };
/// Bits of one of the registers that CPUID answers in.
struct Features {
  unsigned leaf, subleaf;
  Register where;
  std::initializer_list<int> bits;
};

bool has(const Features& features) {
  std::array<unsigned, 4> found{};
  __get_cpuid_count(features.leaf, features.subleaf, &found[eax], &found[ebx], &found[ecx], &found[edx]);
  return std::all_of(features.bits.begin(), features.bits.end(),
                     [&](int bit) { return (found[features.where] >> bit & 1u) != 0; });
}

/// Whether the system keeps these registers (bits of XCR0) when it switches between threads.
bool keeps(unsigned registers) {
  if (!has({1, 0, ecx, {27}})) return false;  // XGETBV is there
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & registers) == registers;
}

// What the compiler may use for -march=x86-64-v3, -v4 and -mavx512bf16, beyond plain x86-64: the System V ABI's levels.
bool has_avx2() {
  return has({1, 0, ecx, {0, 9, 12, 13, 19, 20, 22, 23, 28, 29}}) &&  // SSE3, SSSE3, FMA, CMPXCHG16B, SSE4.1, SSE4.2,
                                                                      // MOVBE, POPCNT, AVX, F16C
         has({7, 0, ebx, {3, 5, 8}}) &&                               // BMI1, AVX2, BMI2
         has({0x80000001, 0, ecx, {0, 5}}) &&                         // LAHF, LZCNT
         keeps(0x06);                                                 // xmm, ymm
}
bool has_avx512() {
  return has_avx2() && has({7, 0, ebx, {16, 17, 28, 30, 31}}) &&  // AVX-512 F, DQ, CD, BW, VL
         keeps(0xe6);                                             // and masks, zmm
}
bool has_avx512_bf16() { return has_avx512() && has({7, 1, eax, {5}}); }

#endif

constexpr std::array<std::string_view, 4> names{"baseline", "avx2", "avx512", "avx512_bf16"};

/// The place of the last name that may be taken.
std::size_t limit() {
  const char* text = std::getenv("LORAGRAD_MAX_CPU_ISA");
  if (!text) return names.size() - 1;
  std::string lower = text;
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  auto found = std::find(names.begin(), names.end(), lower);
  if (found == names.end())
    throw UsageError("LORAGRAD_MAX_CPU_ISA: expected baseline, avx2, avx512 or avx512_bf16, found \"" +
                     std::string(text) + "\"");
  return static_cast<std::size_t>(found - names.begin());
}

InstructionSet best() {
  [[maybe_unused]] std::size_t most = limit();
#if defined(__x86_64__)
  if (most >= 3 && has_avx512_bf16()) return {names[3], loragrad_kernels_avx512_bf16, true};
  if (most >= 2 && has_avx512()) return {names[2], loragrad_kernels_avx512, false};
  if (most >= 1 && has_avx2()) return {names[1], loragrad_kernels_avx2, false};
#endif
  return {names[0], loragrad_kernels_baseline, false};
}

}  // namespace

const InstructionSet& instruction_set() {
  static const InstructionSet set = best();
  return set;
}

bool has_bf16() { return library_has_bf16() && instruction_set().has_bf16; }

}  // namespace loragrad::cpu

#include "ops/cpu/gemm_split.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "ops/cpu/gemm_library.h"
#include "ops/cpu/instruction_sets.h"
#include "ops/cpu/scratch.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;

/// The parts of a, smallest first: sums lose least so.
struct Parts {
  Parts(const ConstMatrix& a, void* memory) : scratch(memory) {
    for (Matrix& part : parts) part = scratch.take(DType::bf16, a.rows, a.cols);
  }
  Scratch scratch;
  std::array<Matrix, 3> parts;
};

GemmArgs product(const GemmArgs& g, const Parts& a, std::size_t i) {
  GemmArgs part = g;
  part.a = a.parts[i];
  if (i > 0) part.beta = 1, part.bias = nullptr;
  return part;
}

/// x without the bits that bf16 does not have, which are then what is left of it.
float leading(float x) { return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffff0000u); }
std::uint16_t bf16_bits(float x) { return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16); }
/// Zero where x is Inf.
float remainder(float x) { return x == leading(x) ? 0 : x - leading(x); }

void split_row(const float* from, Index count, std::uint16_t* __restrict low, std::uint16_t* __restrict middle,
               std::uint16_t* __restrict high) {
  for (Index i = 0; i < count; ++i) {
    float rest = remainder(from[i]), last = remainder(rest);
    high[i] = bf16_bits(from[i]);
    middle[i] = bf16_bits(rest);
    low[i] = bf16_bits(last);
  }
}

void split(const ConstMatrix& a, const Parts& to) {
  auto row_of = [](const ConstMatrix& m, Index row) { return const_cast<void*>(row_range(m, row, 1).data); };
  for (Index row = 0; row < a.rows; ++row) {
    auto part = [&](std::size_t i) { return static_cast<std::uint16_t*>(row_of(to.parts[i], row)); };
    split_row(static_cast<const float*>(row_of(a, row)), a.cols, part(0), part(1), part(2));
  }
}

}  // namespace

bool multiplies_split(DType a, DType b) {
  return a == DType::f32 && b == DType::bf16 && has_bf16() && library_has_bf16_tiles();
}

bool is_split(const GemmArgs& g) {
  return !g.transpose_a && g.c.dtype == DType::f32 && multiplies_split(g.a.dtype, g.b.dtype);
}

std::size_t gemm_split_scratch(const GemmArgs& g) {
  Parts a(g.a, nullptr);
  return a.scratch.used() + std::max(library_scratch(product(g, a, 0)), library_scratch(product(g, a, 1)));
}

void gemm_split(const GemmArgs& g, void* scratch) {
  Parts a(g.a, scratch);
  split(g.a, a);
  for (std::size_t i = 0; i < a.parts.size(); ++i) library_gemm(product(g, a, i), a.scratch.rest());
}

bool split_rows_stand_alone(const GemmArgs& g) {
  Parts a(g.a, nullptr);
  return library_rows_stand_alone(product(g, a, 0)) && library_rows_stand_alone(product(g, a, 1));
}

}  // namespace loragrad::cpu

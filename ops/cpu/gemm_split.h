#pragma once
#include <cstddef>

#include "engine/kernels.h"

namespace loragrad::cpu {

/// Products of f32 a with bf16 b, a frozen weight as most files have it, by instructions for bf16 and with f32's accuracy.
/// A number of f32 has 24 significant bits, one of bf16 has 8:
///
///     a = high + middle + low,    a b = low b + middle b + high b
///
/// where each part is the leading 8 bits of what those before it leave, all exactly (below 2^-103 the last bits are lost, as
/// subnormals; an Inf in a stays one, a NaN too). Terms are multiplied exactly, as 8 + 8 bits are fewer than 24, and summed in f32. (Exact
/// splitting: T. J. Dekker, A floating-point technique for extending the available precision, 1971; three parts of bf16: Henry, Tang,
/// Heinecke, Leveraging the bfloat16 artificial intelligence datatype for higher-precision computations, 2019.)
///
/// Three products take less time than one where bf16 is more than three times as fast: with AMX, 4.5 times.
bool multiplies_split(DType a, DType b);

/// Whether a product is one of them: a as it lies, c f32.
bool is_split(const GemmArgs&);

/// Such a product on the calling thread, and its scratch space.
void gemm_split(const GemmArgs&, void* scratch);
std::size_t gemm_split_scratch(const GemmArgs&);
/// library_rows_stand_alone() of its products.
bool split_rows_stand_alone(const GemmArgs&);

}  // namespace loragrad::cpu

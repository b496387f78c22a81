#pragma once
#include <cstddef>

#include "engine/kernels.h"

/// Products of a few rows (tokens) with a matrix, as generation has them: each weight is read once, so the speed is the
/// memory's.
namespace loragrad::cuda {

/// Whether gemv takes the product: 1 to 8 rows of c, op(a) = a, no dropout; a and c f32 or bf16, b f32, bf16 or f16,
/// in any mixture.
bool is_gemv(const GemmArgs&);
/// The product as gemm's, with sums in f32 whose order the shape decides.
void gemv(Device&, const GemmArgs&, void* scratch);
std::size_t gemv_scratch(const GemmArgs&);

}  // namespace loragrad::cuda

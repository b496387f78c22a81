#pragma once
#include <cstddef>

#include "engine/kernels.h"

/// Products in which a row of c has the same bits however many rows are multiplied with it, and wherever it stands
/// among them: libraries go by the shape (docs/design/005). Weights are read from memory once for many rows, so that a
/// few rows (tokens), as generation has them, take as long as one, at the memory's speed.
namespace loragrad::cpu {

/// Whether gemm_rows takes the product: op(a) = a where rows_alone asks for it, and else at most four rows of c in any
/// mixture of f32, bf16 and a weight of f16.
bool is_gemm_rows(const GemmArgs& args);
/// Bytes of scratch space: for some rows of a, where they are converted first.
std::size_t gemm_rows_workspace(const GemmArgs& args);
/// The product as gemm's. Sums are f32, f64 where a is; each element's has an order that k and the types decide.
void gemm_rows(Device& device, const GemmArgs& args, void* workspace);

}  // namespace loragrad::cpu

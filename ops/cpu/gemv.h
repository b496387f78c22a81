#pragma once
#include <cstddef>

#include "engine/kernels.h"

/// Products of a few rows (tokens) with a matrix, as generation has them: each weight is read once, so the speed is the
/// memory's. Libraries' matrix-vector products reach half of that (docs/design/005).
namespace loragrad::cpu {

/// Whether gemv takes the product: at most four rows of c, op(a) = a, f32 and bf16 in any mixture.
bool is_gemv(const GemmArgs& args);
/// Bytes of scratch space: a in f32.
std::size_t gemv_workspace(const GemmArgs& args);
/// The product as gemm's. Sums are f32; each element's sum has an order of its own, whatever the number of threads.
void gemv(Device& device, const GemmArgs& args, void* workspace);

}  // namespace loragrad::cpu

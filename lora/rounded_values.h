#pragma once
#include <cstddef>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// A tensor's values in the type that a file has them in: f64, f32, bf16 or f16.
std::vector<std::byte> rounded_values(const Tensor& tensor, DType dtype);
/// The same, written to `out`, of bytes_of(dtype, numel); false where a result is not finite.
bool round_values(const Tensor& tensor, DType dtype, std::byte* out);

}  // namespace loragrad

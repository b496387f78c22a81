#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// A tensor's values in the type that a file has them in: f64, f32, bf16 or f16. NumericError, with `name`, for one that is
/// not finite or too large for the type.
std::vector<std::byte> rounded_values(const std::string& name, const Tensor& tensor, DType dtype);
/// The same, written to `out`, of bytes_of(dtype, numel); false for such a value.
bool round_values(const Tensor& tensor, DType dtype, std::byte* out);

}  // namespace loragrad

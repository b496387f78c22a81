#pragma once
#include <string>
#include <vector>

#include "lora/adapter.h"
#include "lora/merge/svd.h"

namespace loragrad {

/// InputError "OP: NAME: ..." for modules that have more than A and B: another variant than plain LoRA, of a linear map or
/// of an embedding.
void require_plain(const Adapter& adapter, const std::string& op);

/// The values of an f32 tensor.
HostMatrix on_host(const Tensor& tensor);
/// Of an f32 matrix.
Tensor transposed(const Tensor& x);
/// The values of an f32 tensor that is to be saved. NumericError, with `name`, for NaN and Inf.
std::vector<float> finite_values(const std::string& name, const Tensor& tensor);
/// NumericError for a number that is NaN or Inf, or becomes it in f32, in which the programs that read it compute.
void require_finite(const std::string& name, double value);
/// factor · values in the first rows and columns, zeros beyond.
Tensor padded(const DevicePtr& device, const HostMatrix& values, Shape shape, double factor = 1);

}  // namespace loragrad

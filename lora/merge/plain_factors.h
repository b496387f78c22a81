#pragma once
#include <string>

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
/// factor · values in the first rows and columns, zeros beyond.
Tensor padded(const DevicePtr& device, const HostMatrix& values, Shape shape, double factor = 1);

}  // namespace loragrad

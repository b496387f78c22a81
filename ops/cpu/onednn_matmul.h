#pragma once
#include "engine/kernels.h"

namespace loragrad::cpu {

/// The library's matmul primitive, made once per shape: c = alpha op(a) op(b) + beta c, or with a bias and alpha = 1.
/// f32 or bf16.
void onednn_matmul(const GemmArgs& args);

}  // namespace loragrad::cpu

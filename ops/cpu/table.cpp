#include "ops/cpu/kernels.h"

namespace loragrad::cpu {

/// The table of the set that is being compiled, and the only name of it that others see. It is C's, so that the build
/// can spell it (ops/cpu/meson.build).
extern "C" const Kernels LORAGRAD_KERNEL_TABLE;
constinit const Kernels LORAGRAD_KERNEL_TABLE{
    .gemm_workspace = gemm_workspace,
    .gemm = gemm,
    .accumulate = accumulate,
    .add = add,
    .column_sum = column_sum,
    .squared_norm = squared_norm,
    .dropout = dropout,
    .activation = activation,
    .activation_backward = activation_backward,
    .gated = gated,
    .gated_backward = gated_backward,
    .norm = norm,
    .norm_backward_workspace = norm_backward_workspace,
    .norm_backward = norm_backward,
    .rope = rope,
    .attention_workspace = attention_workspace,
    .attention = attention,
    .attention_backward_workspace = attention_backward_workspace,
    .attention_backward = attention_backward,
    .embedding = embedding,
    .embedding_backward = embedding_backward,
    .cross_entropy = cross_entropy,
    .adamw = adamw,
};

}  // namespace loragrad::cpu

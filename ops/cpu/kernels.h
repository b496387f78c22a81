#pragma once
#include "engine/device.h"

/// The processor's entries of the kernel table; engine/kernels.h says what each computes. All take any strides between
/// rows, give the same bits for any number of threads, and compute in f32, or in f64 where an operand is f64.
namespace loragrad::cpu {

std::size_t gemm_workspace(Device&, const GemmArgs&);
void gemm(Device&, const GemmArgs&, void* workspace);

void accumulate(Device&, ConstMatrix x, double alpha, Matrix y, double beta);
void add(Device&, ConstMatrix a, double alpha, ConstMatrix b, double beta, Matrix y);
void column_sum(Device&, ConstMatrix x, Matrix out);
double squared_norm(Device&, ConstMatrix x);

void dropout(Device&, const DropoutArgs&);
void activation(Device&, const ActivationArgs&);
void activation_backward(Device&, const ActivationBackwardArgs&);
void gated(Device&, const GatedArgs&);
void gated_backward(Device&, const GatedBackwardArgs&);
void norm(Device&, const NormArgs&);
std::size_t norm_backward_workspace(Device&, const NormBackwardArgs&);
void norm_backward(Device&, const NormBackwardArgs&, void* workspace);
void rope(Device&, const RopeArgs&);
std::size_t attention_workspace(Device&, const AttentionArgs&);
void attention(Device&, const AttentionArgs&, void* workspace);
std::size_t attention_backward_workspace(Device&, const AttentionBackwardArgs&);
void attention_backward(Device&, const AttentionBackwardArgs&, void* workspace);
void embedding(Device&, const EmbeddingArgs&);
void embedding_backward(Device&, const EmbeddingBackwardArgs&);
void cross_entropy(Device&, const CrossEntropyArgs&);
void adamw(Device&, const AdamWArgs&);

}  // namespace loragrad::cpu

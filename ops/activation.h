#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <optional>
#include <string_view>

#include "engine/tensor.h"

namespace loragrad {

/// y = f(x), elementwise: max(x, 0); x Φ(x) (gelu_erf); its tanh approximation (Hendrycks & Gimpel 2016); x σ(x)
/// (silu). Keeps x, or for relu one bit an element. relu'(0) = 0.
Tensor activation(Activation kind, const Tensor& x);

/// y = f(gate) ∘ up (SwiGLU's product; Shazeer 2020). Keeps gate and up; y carries a recipe.
Tensor gated(Activation kind, const Tensor& gate, const Tensor& up);

/// transformers' names: "relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "silu", "swish"; else nullopt.
std::optional<Activation> activation_named(std::string_view name);

}  // namespace loragrad

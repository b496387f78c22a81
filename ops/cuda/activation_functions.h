#pragma once
#include <cuda_runtime.h>

#include <cmath>
#include <numbers>
#include <type_traits>

#include "engine/kernels.h"
#include "ops/cuda/operands.h"

namespace loragrad::cuda {

/// f(x), and f'(x) where `slope` is asked for. GELU: Hendrycks & Gimpel 2016; SiLU: Elfwing et al. 2017.
template <Activation kind, class C>
__device__ inline C activation_at(C x, C* slope = nullptr) {
  constexpr C half = C(0.5);
  if constexpr (kind == Activation::relu) {
    if (slope) *slope = x > C(0) ? C(1) : C(0);
    return x < C(0) ? C(0) : x;                         // keeps a NaN
  } else if constexpr (kind == Activation::gelu_erf) {  // x Φ(x);  Φ(x) + x φ(x)
    C phi = half * (C(1) + std::erf(x * (std::numbers::sqrt2_v<C> / 2)));
    if (slope) *slope = phi + x * std::exp(-half * x * x) * static_cast<C>(0.3989422804014327);  // 1 / sqrt(2π)
    return x * phi;
  } else if constexpr (kind == Activation::gelu_tanh) {  // x (1 + tanh u) / 2,  u = k (x + 0.044715 x³)
    constexpr C k = static_cast<C>(0.7978845608028654), cubic = static_cast<C>(0.044715);  // k = sqrt(2/π)
    C t = std::tanh(k * (x + cubic * x * x * x));
    if (slope) *slope = half * (C(1) + t) + half * x * (C(1) - t * t) * k * (C(1) + C(3) * cubic * x * x);
    return half * x * (C(1) + t);
  } else {  // x σ(x);  σ (1 + x (1 - σ))
    C sigmoid = C(1) / (C(1) + std::exp(-x));
    if (slope) *slope = sigmoid * (C(1) + x * (C(1) - sigmoid));
    return x * sigmoid;
  }
}

/// Calls f(kind, X()) with the kind as a template argument and the matrices' common type (units.h).
template <class F>
void with_kind_and_type(Activation kind, std::initializer_list<ConstMatrix> matrices, F f) {
  with_common_type(matrices, [&](auto element) {
    if (kind == Activation::relu) f(std::integral_constant<Activation, Activation::relu>(), element);
    if (kind == Activation::gelu_erf) f(std::integral_constant<Activation, Activation::gelu_erf>(), element);
    if (kind == Activation::gelu_tanh) f(std::integral_constant<Activation, Activation::gelu_tanh>(), element);
    if (kind == Activation::silu) f(std::integral_constant<Activation, Activation::silu>(), element);
  });
}

}  // namespace loragrad::cuda

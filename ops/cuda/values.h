#pragma once
#include <cuda_runtime.h>

#include <type_traits>

#include "engine/matrix.h"
#include "ops/cuda/ptx.h"

/// Values in device memory: kernels compute in C, float or double; `as` and `rounded` convert what they read and
/// write. On the host, `with_type` turns runtime dtypes into template arguments.
namespace loragrad::cuda {

/// The type that numbers of type X are computed with.
template <class X>
using SumOf = std::conditional_t<std::is_same_v<X, double>, double, float>;

/// f16's conversion without branches: a product moves the exponent from f16's bias to f32's, of subnormals too.
__device__ inline float value_of(f16 half) {
  std::uint32_t sign = (half.bits & 0x8000u) << 16, magnitude = (half.bits & 0x7fffu) << 13;
  std::uint32_t finite = __float_as_uint(__uint_as_float(magnitude) * 0x1p112f);
  return __uint_as_float(sign | (magnitude >= 0x7c00u << 13 ? magnitude | 0x7f800000u : finite));
}

template <class C, class X>
__device__ inline C as(X value) {
  if constexpr (std::is_arithmetic_v<X>)
    return static_cast<C>(value);
  else if constexpr (std::is_same_v<X, f16>)
    return static_cast<C>(value_of(value));
  else
    return static_cast<C>(static_cast<float>(value));
}
template <class X, class C>
__device__ inline X rounded(C value) {
  if constexpr (std::is_arithmetic_v<X>)
    return static_cast<X>(value);
  else
    return X(static_cast<float>(value));
}

/// A matrix whose element type is known.
template <class X>
struct View {
  X* data;
  std::int64_t stride;
  __device__ X& operator()(std::int64_t row, std::int64_t col) const { return data[row * stride + col]; }
};
template <class X>
View<const X> view(const ConstMatrix& m) {
  return {static_cast<const X*>(m.data), m.stride};
}
template <class X>
View<X> view(const Matrix& m) {
  return {static_cast<X*>(m.data), m.stride};
}

/// 16 bytes of consecutive elements, read or written at once.
template <class X>
struct alignas(16) Pack {
  static constexpr int size = 16 / sizeof(X);
  X values[size];
};

/// Calls f(X{}) with the element type of real numbers: float, double, bf16, and for weights and files f16.
template <class F>
decltype(auto) with_type(DType dtype, F f) {
  if (dtype == DType::f64) return f(double{});
  if (dtype == DType::f32) return f(float{});
  return f(bf16{});
}
template <class F>
decltype(auto) with_stored_type(DType dtype, F f) {
  if (dtype == DType::f16) return f(f16{});
  return with_type(dtype, f);
}

}  // namespace loragrad::cuda

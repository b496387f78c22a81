#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "ops/cpu/simd.h"

/// What a multiply-add takes of one lane: a unit is a number or, where the processor multiplies bf16, a pair of
/// neighbours in the dimension that is summed over.
namespace loragrad::cpu {

/// Two bf16, the first in the lower half.
using Pair = std::uint32_t;
template <class U>
using SumOf = std::conditional_t<std::is_same_v<U, Pair>, float, U>;
/// Terms of a sum in a unit.
template <class U>
constexpr int terms = std::is_same_v<U, Pair> ? 2 : 1;
template <class U>
constexpr std::int64_t units(std::int64_t n) {
  return (n + terms<U> - 1) / terms<U>;
}

/// An element that may lie at any byte, as those of a mapped file do.
template <class X>
X element(const X* at) {
  X x;
  std::memcpy(&x, at, sizeof x);
  return x;
}

/// x in every lane.
template <class U>
typename Simd<U>::type broadcast(U x) {
  return x - typename Simd<U>::type{};
}

/// a b + sum, lane by lane: rounded once where the target can, and then everywhere. Left to the compiler it would be
/// contracted in some loops and not in others, and the same numbers would have sums with other bits.
inline Simd<float>::type fma(Simd<float>::type a, Simd<float>::type b, Simd<float>::type sum) {
#if defined(__AVX512F__)
  return (Simd<float>::type)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)sum);
#elif defined(__FMA__)
  return (Simd<float>::type)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)sum);
#elif defined(__aarch64__)
  return vfmaq_f32(sum, a, b);
#else
  return a * b + sum;
#endif
}
inline Simd<double>::type fma(Simd<double>::type a, Simd<double>::type b, Simd<double>::type sum) {
#if defined(__AVX512F__)
  return (Simd<double>::type)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)sum);
#elif defined(__FMA__)
  return (Simd<double>::type)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)sum);
#elif defined(__aarch64__)
  return vfmaq_f64(sum, a, b);
#else
  return a * b + sum;
#endif
}
#ifdef __AVX512BF16__
static_assert(simd_bytes == 64);
inline Simd<float>::type fma(Simd<Pair>::type a, Simd<Pair>::type b, Simd<float>::type sum) {
  return (Simd<float>::type)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
#endif

}  // namespace loragrad::cpu

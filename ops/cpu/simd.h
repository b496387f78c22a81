#pragma once
#include <Eigen/Core>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "engine/dtype.h"

/// Vectors as wide as the target has, in the compiler's own vector extension.
namespace loragrad::cpu {

constexpr int simd_bytes = EIGEN_MAX_ALIGN_BYTES;  // of the widest vector the target has; clang has no macro for it

template <class T>
struct Simd {
  static constexpr int width = simd_bytes / static_cast<int>(sizeof(T));
  typedef T type __attribute__((vector_size(simd_bytes)));
  static type load(const T* from) {
    type v;
    std::memcpy(&v, from, sizeof v);
    return v;
  }
  static void store(T* to, type v) { std::memcpy(to, &v, sizeof v); }
};

/// A vector of f32 from f32 or bf16, which is the upper half of an f32.
inline Simd<float>::type load_f32(const float* from) { return Simd<float>::load(from); }
inline Simd<float>::type load_f32(const bf16* from) {
  typedef std::uint16_t Halves __attribute__((vector_size(simd_bytes / 2)));
  typedef std::uint32_t Words __attribute__((vector_size(simd_bytes)));
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  Words words = __builtin_convertvector(halves, Words) << 16;
  Simd<float>::type v;
  std::memcpy(&v, &words, sizeof v);
  return v;
}

inline Simd<float>::type load_f32(const f16* from) {
#if defined(__AVX512F__)
  return (Simd<float>::type)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
  return (Simd<float>::type)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  Simd<float>::type v;
  for (int i = 0; i < Simd<float>::width; ++i) {
    f16 half;
    std::memcpy(&half, from + i, sizeof half);
    v[i] = static_cast<float>(half);
  }
  return v;
#endif
}

/// The halves of a0 b0 a1 b1 ...: `half` 0 or 1.
template <int half, class V, std::size_t... I>
V zip(V a, V b, std::index_sequence<I...>) {
  constexpr int width = sizeof...(I);
  return __builtin_shufflevector(a, b, (half * width / 2 + static_cast<int>(I) / 2 + (I % 2 ? width : 0))...);
}

/// Which of eight numbers are above zero, the first in the lowest bit.
template <class T>
std::uint8_t positive_bits(const T* from) {
  unsigned bits = 0;
  for (int i = 0; i < 8; ++i) bits |= static_cast<unsigned>(from[i] > T(0)) << i;
  return static_cast<std::uint8_t>(bits);
}
#if defined(__AVX2__)
template <>
inline std::uint8_t positive_bits(const float* from) {
  __m256 above = _mm256_cmp_ps(_mm256_loadu_ps(from), _mm256_setzero_ps(), _CMP_GT_OQ);
  return static_cast<std::uint8_t>(_mm256_movemask_ps(above));
}
#endif

/// The products of the lower halves of 64-bit lanes with a factor of 32 bits. gcc 12 finds no instruction for it.
typedef std::uint64_t SimdWords __attribute__((vector_size(simd_bytes)));
inline SimdWords multiply_low_halves(SimdWords a, std::uint32_t factor) {
#if defined(__AVX512F__)
  return (SimdWords)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(factor));
#elif defined(__AVX2__)
  return (SimdWords)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(factor));
#else
  return (a & 0xffffffffu) * factor;
#endif
}

}  // namespace loragrad::cpu

#pragma once
#include <Eigen/Core>
#include <cstdint>
#include <cstring>
#include <type_traits>

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

}  // namespace loragrad::cpu

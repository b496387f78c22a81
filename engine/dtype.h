#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace loragrad {

/// Element types. f16 occurs only in files (a Weight may have it); tensors are f32, f64, bf16 or i32.
enum class DType : std::uint8_t { f32, f64, bf16, f16, i32 };

constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 8;
    case DType::bf16:
    case DType::f16:
      return 2;
    default:
      return 4;
  }
}

constexpr std::size_t bytes_of(DType dtype, std::int64_t elements) {
  return static_cast<std::size_t>(elements) * size_of(dtype);
}

/// The type that sums of real numbers are formed in, and that of what is trained or kept beside them: biases, norms'
/// weights and statistics, losses.
constexpr DType accumulation_type(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

/// "f32", "f64", "bf16", "f16", "i32".
constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    default:
      return "i32";
  }
}

/// The upper half of an f32. Rounds to nearest even; a NaN stays a NaN.
struct bf16 {
  std::uint16_t bits = 0;
  constexpr bf16() = default;
  constexpr explicit bf16(float value) {
    std::uint32_t u = std::bit_cast<std::uint32_t>(value);
    bits = value != value ? static_cast<std::uint16_t>((u >> 16) | 0x40)
                          : static_cast<std::uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16);
  }
  constexpr explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

/// IEEE half precision, read from files only.
struct f16 {
  std::uint16_t bits = 0;
  constexpr explicit operator float() const {
    std::uint32_t sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    // A subnormal half is magnitude * 2^-24, exact in f32; infinities and NaNs keep their mantissa.
    if (magnitude < 0x0400u) {
      float value = static_cast<float>(magnitude) * 0x1p-24f;
      return sign ? -value : value;
    }
    std::uint32_t exponent_and_mantissa = (magnitude << 13) + (magnitude >= 0x7c00u ? (255u - 31u) << 23 : 112u << 23);
    return std::bit_cast<float>(sign | exponent_and_mantissa);
  }
};

template <class T>
constexpr DType dtype_of = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<f16> = DType::f16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;

}  // namespace loragrad

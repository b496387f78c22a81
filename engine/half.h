#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "engine/dtype.h"

namespace loragrad {

/// f32 to IEEE half precision, to nearest even; above 65519 it is Inf, a NaN stays a NaN. Only files hold f16, so only
/// what writes one needs this.
inline f16 to_f16(float value) {
  std::uint32_t bits = std::bit_cast<std::uint32_t>(value), magnitude = bits & 0x7fffffffu;
  auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  f16 result;
  if (magnitude > 0x7f800000u) {
    result.bits = sign | 0x7e00u;
  } else if (magnitude >= 0x477ff000u) {  // 65520 and above
    result.bits = sign | 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // subnormal: a multiple of 2^-24
    float steps = std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f);
    result.bits = static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(steps));
  } else {  // the exponent's bias goes from 127 to 15; a carry out of the mantissa is right as it is
    std::uint32_t rounded = magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u);
    result.bits = static_cast<std::uint16_t>(sign | rounded >> 13);
  }
  return result;
}

}  // namespace loragrad

#pragma once
#include <cstddef>
#include <cstring>

#include "engine/dtype.h"

namespace loragrad {

/// Element `at` of f32, f64, bf16 or f16 values as a file has them, aligned or not.
inline double stored_value(const void* values, DType dtype, std::size_t at) {
  auto read = [&]<class T>(T value) {
    std::memcpy(&value, static_cast<const std::byte*>(values) + at * sizeof value, sizeof value);
    return value;
  };
  switch (dtype) {
    case DType::f64:
      return read(double{});
    case DType::bf16:
      return double{static_cast<float>(read(bf16{}))};
    case DType::f16:
      return double{static_cast<float>(read(f16{}))};
    default:
      return double{read(float{})};
  }
}

}  // namespace loragrad

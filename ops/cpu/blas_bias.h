#pragma once
#include <cstddef>
#include <cstring>

#include "engine/kernels.h"

namespace loragrad::cpu {

/// BLAS has no bias: c holds it before the product is added. It may lie at any byte, as weights do.
template <class T>
void put_bias(GemmArgs& g) {
  if (!g.bias) return;
  auto* bias = static_cast<const std::byte*>(g.bias);
  for (std::int64_t i = 0; i < g.c.rows; ++i) {
    T* row = static_cast<T*>(g.c.data) + i * g.c.stride;
    for (std::int64_t j = 0; j < g.c.cols; ++j) {
      T value;
      std::memcpy(&value, bias + static_cast<std::size_t>(j) * sizeof value, sizeof value);
      row[j] = g.beta == 0 ? value : row[j] + value;
    }
  }
  g.beta = 1;
  g.bias = nullptr;
}

}  // namespace loragrad::cpu

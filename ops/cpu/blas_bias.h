#pragma once
#include <algorithm>

#include "engine/kernels.h"

namespace loragrad::cpu {

/// BLAS has no bias: c holds it before the product is added.
template <class T>
void put_bias(GemmArgs& g) {
  if (!g.bias) return;
  auto* bias = static_cast<const T*>(g.bias);
  for (std::int64_t i = 0; i < g.c.rows; ++i) {
    T* row = static_cast<T*>(g.c.data) + i * g.c.stride;
    if (g.beta == 0)
      std::copy(bias, bias + g.c.cols, row);
    else
      for (std::int64_t j = 0; j < g.c.cols; ++j) row[j] += bias[j];
  }
  g.beta = 1;
  g.bias = nullptr;
}

}  // namespace loragrad::cpu

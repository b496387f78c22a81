#pragma once
#include <cmath>
#include <vector>

#include "lora/adapter.h"
#include "tests/lora/all_variants.h"
#include "tests/ops/gradcheck.h"

namespace loragrad::test {

/// Lengths, which backward takes for constants: away from 0.
inline Tensor lengths(const Setting& s, std::int64_t out) {
  std::vector<double> values = s.normal(out, 9);
  for (double& value : values) value = 1 + std::abs(value);
  return make_tensor(s.device, {1, out}, s.leaf_dtype(), values);
}

/// For VariantCase::hold.
inline void hold_lengths(LoraModule& module, const Setting& s) { module.norm = lengths(s, module.b.rows()); }

/// Of two inputs and outputs, with s B A = [[1, 2], [0, 0]] and magnitudes 10 and 26.
inline LoraModule small_module(const DevicePtr& device, const LoraVariant& variant) {
  auto values = [&](Shape shape, std::vector<float> list) { return Tensor::from(device, shape, std::move(list)); };
  return {.name = "m",
          .a = values({1, 2}, {1, 2}),
          .b = values({2, 1}, {2, 0}),
          .scale = 0.5,
          .variant = &variant,
          .magnitude = values({1, 2}, {10, 26})};
}

}  // namespace loragrad::test

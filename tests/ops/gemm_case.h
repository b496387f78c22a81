#pragma once
#include <cstdint>
#include <string>

#include "engine/kernels.h"

namespace loragrad::test {

/// A product to check: its shape, where its matrices lie, and what else GemmArgs says.
struct GemmCase {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  /// Elements between rows, and before the first.
  std::int64_t pad_a = 0, pad_b = 0, pad_c = 0, offset_a = 0, offset_b = 0, offset_c = 0, offset_bias = 0;
  double alpha = 1, beta = 0;
  bool bias = false;
  DType type = DType::f32, weight = DType::f32, result = DType::f32;  ///< of a, b and c
  DropoutMask dropout = {};
  Dropped dropped = Dropped::a;

  std::string text() const {
    auto number = [](auto value) { return std::to_string(value); };
    return number(m) + " x " + number(n) + " x " + number(k) + (transpose_a ? ", a transposed" : "") +
           (transpose_b ? ", b transposed" : "") + ", pads " + number(pad_a) + " " + number(pad_b) + " " +
           number(pad_c) + ", offsets " + number(offset_a) + " " + number(offset_b) + " " + number(offset_c) +
           ", alpha " + number(alpha) + ", beta " + number(beta) + (bias ? ", bias" : "") + ", " +
           std::string(name_of(type)) + " " + std::string(name_of(weight)) + " " + std::string(name_of(result));
  }
};

}  // namespace loragrad::test

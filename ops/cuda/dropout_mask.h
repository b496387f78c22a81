#pragma once
#include <cuda_runtime.h>

#include <array>
#include <cmath>

#include "engine/kernels.h"
#include "engine/random.h"

/// Dropout's random numbers in device code, the same as on every device: 16-bit draws, eight consecutive columns a call
/// of philox, whose counter is (row in the step, position, column / 8, 0).
namespace loragrad::cuda {

/// A DropoutMask as a kernel takes it, by value; without one it keeps all elements.
struct MaskArgs {
  const std::int32_t* tokens = nullptr;  // [tokens, 2], in device memory
  std::uint64_t key = 0;
  std::uint32_t threshold = 0;  // elements whose draw is below it are dropped
  double scale = 1;             // of those that are kept
};
/// The probability that is really used is a multiple of 1/65536, so the scale that keeps the mean is of that one.
inline MaskArgs mask_args(const DropoutMask& mask) {
  auto threshold = static_cast<std::uint32_t>(std::lround(mask.p * 65536));
  double keep = 1 - threshold / 65536.0;
  return {mask.tokens, mask.key, threshold, keep > 0 ? 1 / keep : 0};
}

/// Elements that one call of philox decides on.
constexpr int mask_group = 8;

/// The draws of columns 8 group .. 8 group + 7 of one token.
class MaskDraws {
 public:
  __device__ MaskDraws(const MaskArgs& mask, std::int64_t token, std::int64_t group)
      : words_(philox({static_cast<std::uint32_t>(mask.tokens[2 * token]),
                       static_cast<std::uint32_t>(mask.tokens[2 * token + 1]), static_cast<std::uint32_t>(group), 0u},
                      mask.key)) {}
  /// Of column 8 group + i. A word's lower half is the first of its two draws.
  __device__ std::uint32_t operator[](int i) const {
    std::uint32_t word = words_[static_cast<std::size_t>(i / 2)];
    return i % 2 ? word >> 16 : word & 0xffffu;
  }

 private:
  std::array<std::uint32_t, 4> words_;
};

/// values = mask(values), of columns 8 group .. 8 group + 7 of one token.
template <class C>
__device__ inline void apply_mask(const MaskArgs& mask, std::int64_t token, std::int64_t group,
                                  C (&values)[mask_group]) {
  if (mask.threshold == 0) return;
  MaskDraws draws(mask, token, group);
  auto scale = static_cast<C>(mask.scale);
#pragma unroll
  for (int i = 0; i < mask_group; ++i) values[i] = draws[i] >= mask.threshold ? values[i] * scale : C(0);
}

}  // namespace loragrad::cuda

#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "engine/random.h"

namespace loragrad::cuda {

/// philox of engine/random.h, with the same numbers, in place: by the halves of products, in 32 bits. From products in
/// 64 bits nvcc makes half as many instructions again.
__device__ inline void philox_words(std::uint32_t (&c)[4], std::uint64_t key) {
  auto low = static_cast<std::uint32_t>(key), high = static_cast<std::uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < philox_rounds; ++round, low += 0x9E3779B9u, high += 0xBB67AE85u) {
    constexpr std::uint32_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
    std::uint32_t high0 = __umulhi(m0, c[0]), low0 = m0 * c[0], high1 = __umulhi(m1, c[2]), low1 = m1 * c[2];
    c[0] = high1 ^ c[1] ^ low;
    c[1] = low1;
    c[2] = high0 ^ c[3] ^ high;
    c[3] = low0;
  }
}

}  // namespace loragrad::cuda

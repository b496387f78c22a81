#pragma once
// ops/cuda/ptx.h on the processor: the same functions, lane by lane in the layouts of the PTX manual.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "engine/dtype.h"

namespace loragrad::cuda {

inline float half_of(std::uint32_t word, int which) {
  bf16 value;
  value.bits = static_cast<std::uint16_t>(word >> 16 * which);
  return static_cast<float>(value);
}

inline void mma_16x8x16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  struct Brought {
    float* d;
    const std::uint32_t *a, *b;
  } mine{d, a, b};
  cuda_emulation::meet(0xffffffffu, "mma", &mine, [](void* const* all) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; ++lane) {
      auto* from = static_cast<Brought*>(all[lane]);
      int group = lane / 4, pair = lane % 4 * 2;
      for (int half = 0; half < 2; ++half) {
        for (int word = 0; word < 4; ++word)
          a[group + word % 2 * 8][pair + word / 2 * 8 + half] = half_of(from->a[word], half);
        for (int word = 0; word < 2; ++word) b[pair + word * 8 + half][group] = half_of(from->b[word], half);
      }
    }
    for (int lane = 0; lane < 32; ++lane) {
      auto* to = static_cast<Brought*>(all[lane]);
      for (int i = 0; i < 4; ++i) {
        int row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
        float sum = to->d[i];
        for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][col];
        to->d[i] = sum;
      }
    }
  });
}

namespace emulated {
struct Rows {
  std::uint32_t* words;
  const unsigned char* row;
};
template <bool transposed>
void load_matrices(void* const* all) {
  for (int lane = 0; lane < 32; ++lane)
    for (int m = 0; m < 4; ++m) {
      std::uint16_t pair[2];
      for (int i = 0; i < 2; ++i) {
        int row = transposed ? lane % 4 * 2 + i : lane / 4, col = transposed ? lane / 4 : lane % 4 * 2 + i;
        std::memcpy(&pair[i], static_cast<Rows*>(all[m * 8 + row])->row + 2 * col, 2);
      }
      static_cast<Rows*>(all[lane])->words[m] = pair[0] | std::uint32_t{pair[1]} << 16;
    }
}
inline const unsigned char* aligned(const void* p) {
  if (reinterpret_cast<std::uintptr_t>(p) % 16) throw std::logic_error("16 bytes at an address that is no multiple");
  return static_cast<const unsigned char*>(p);
}
}  // namespace emulated

inline void load_matrices(std::uint32_t (&words)[4], const void* row) {
  emulated::Rows mine{words, emulated::aligned(row)};
  cuda_emulation::meet(0xffffffffu, "ldmatrix", &mine, emulated::load_matrices<false>);
}
inline void load_matrices_transposed(std::uint32_t (&words)[4], const void* row) {
  emulated::Rows mine{words, emulated::aligned(row)};
  cuda_emulation::meet(0xffffffffu, "ldmatrix.trans", &mine, emulated::load_matrices<true>);
}

inline void copy_async(void* shared, const void* from, bool valid) {
  emulated::aligned(shared);
  if (valid) emulated::aligned(from);
  cuda_emulation::copy_later(shared, from, 16, valid);
}
inline void copies_commit() { cuda_emulation::commit_copies(); }
template <int left>
void copies_wait() {
  cuda_emulation::wait_for_copies(left);
}

inline float exp2_or_zero(float x) {
  float y = std::exp2(x);
  return y < std::numeric_limits<float>::min() ? 0 : y;
}

inline std::uint32_t pack_bf16(float low, float high) {
  return bf16(low).bits | static_cast<std::uint32_t>(bf16(high).bits) << 16;
}

template <class T = unsigned char>
T* shared_memory() {
  return reinterpret_cast<T*>(cuda_emulation::shared_memory());
}

}  // namespace loragrad::cuda

#pragma once
// What has no name in CUDA C++: instructions of the PTX manual (ISA 8.0, section 9.7). One warp executes each of those
// that say "the warp", all 32 lanes together. tests/cuda_emulation/include has their twin for the processor.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace loragrad::cuda {

/// d += a b, by the warp: a [16, 16], b [16, 8], d [16, 8] in f32. With g = lane / 4 and t = lane % 4 a lane holds
///   a: rows g, g+8, g, g+8 of columns 2t, 2t, 2t+8, 2t+8, each with the next column in the upper half of the word
///   b: column g of rows 2t and 2t+8, each with the next row in the upper half
///   d: (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1)                          PTX: mma.m16n8k16, "Matrix Fragments"
__device__ inline void mma_16x8x16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Four 8 x 8 matrices of bf16 from shared memory, by the warp. Lane i gives the address (16 bytes aligned) of row i % 8
/// of matrix i / 8; word m of a lane is row lane / 4 of matrix m, columns 2 (lane % 4) and the next.  `_transposed`:
/// row and column change places.
__device__ inline void load_matrices(std::uint32_t (&words)[4], const void* row) {
  auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}
__device__ inline void load_matrices_transposed(std::uint32_t (&words)[4], const void* row) {
  auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

/// Starts to copy 16 bytes, both addresses aligned to that, from device memory to shared memory; with `valid` false
/// zeroes are written and nothing is read. They are there for this thread after a copies_wait, for others after a
/// barrier that follows it.
__device__ inline void copy_async(void* shared, const void* from, bool valid) {
  auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}
/// Ends a group of copies.
__device__ inline void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most so many groups of this thread, the latest, are still under way.
template <int left>
__device__ inline void copies_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

/// 2^x to a part in 2^22, and 0 where that is below the least normal number: exp2f spends instructions on those.
__device__ inline float exp2_or_zero(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Two numbers rounded to bf16 in one word, the first in the lower half.
__device__ inline std::uint32_t pack_bf16(float low, float high) {
  __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  std::uint32_t word;
  memcpy(&word, &pair, sizeof word);
  return word;
}

/// The block's dynamic shared memory, as many bytes as it was launched with: the only shared memory that kernels use.
template <class T = unsigned char>
__device__ inline T* shared_memory() {
  extern __shared__ __align__(16) unsigned char loragrad_shared_memory[];
  return reinterpret_cast<T*>(loragrad_shared_memory);
}

}  // namespace loragrad::cuda

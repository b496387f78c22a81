// The emulation of CUDA finds what it is there to find.
#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "ops/cuda/ptx.h"

namespace {

using loragrad::bf16;

struct OwnStream {
  OwnStream() { cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); }
  ~OwnStream() { cudaStreamDestroy(stream); }
  cudaStream_t stream = nullptr;
};

/// Runs one block; its threads do `kernel(out)`, and `out` is in device memory.
template <class T>
std::vector<T> run_block(void (*kernel)(T*), unsigned threads, std::size_t count, std::size_t shared = 0) {
  OwnStream own;
  void* out = nullptr;
  cudaMallocAsync(&out, count * sizeof(T), own.stream);
  void* args[] = {&out};
  cudaLaunchKernel(kernel, dim3(1), dim3(threads), args, shared, own.stream);
  std::vector<T> result(count);
  cudaMemcpyAsync(result.data(), out, count * sizeof(T), cudaMemcpyDeviceToHost, own.stream);
  cudaFreeAsync(out, own.stream);
  cudaStreamSynchronize(own.stream);
  return result;
}

void waits_in_part(float* out) {
  if (threadIdx.x < 3) __syncthreads();
  out[0] = 1;
}
void half_a_warp_shuffles(int* out) {
  if (threadIdx.x % 2 == 0) out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}
void writes_behind(int* out) { out[threadIdx.x + 1] = 1; }
void writes_behind_shared(int*) { loragrad::cuda::shared_memory<int>()[threadIdx.x + 1] = 1; }
void reverses(int* out) {
  int* shared = loragrad::cuda::shared_memory<int>();
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}
void shuffles(int* out) {
  int lane = static_cast<int>(threadIdx.x);
  out[4 * lane] = __shfl_xor_sync(0xffffffffu, lane, 5);
  out[4 * lane + 1] = __shfl_down_sync(0xffffffffu, lane, 3);
  out[4 * lane + 2] = __shfl_sync(0xffffffffu, lane, 2, 8);
  out[4 * lane + 3] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == 0));
}
void reads_shared(float* out) { out[threadIdx.x] = loragrad::cuda::shared_memory<float>()[threadIdx.x]; }
void copies(float* out) {
  auto* shared = loragrad::cuda::shared_memory<float>();
  for (int i = 0; i < 4; ++i) out[i] = static_cast<float>(i + 1);
  loragrad::cuda::copy_async(shared, out, true);
  loragrad::cuda::copies_commit();
  loragrad::cuda::copy_async(shared + 4, out, false);
  loragrad::cuda::copies_commit();
  bool early = shared[0] == 1;
  loragrad::cuda::copies_wait<1>();
  bool first = shared[0] == 1 && shared[3] == 4 && shared[4] != 0;
  loragrad::cuda::copies_wait<0>();
  out[0] = early ? 1 : 0;
  out[1] = first && shared[4] == 0 ? 1 : 0;
}

// c = a b for a [16, 16] and b [16, 8], whose elements are small integers, through shared memory.
float a_at(int row, int col) { return static_cast<float>((row * 7 + col * 3) % 11 - 5); }
float b_at(int row, int col) { return static_cast<float>((row * 5 + col * 2) % 13 - 6); }
void multiplies(float* out) {
  auto* a = loragrad::cuda::shared_memory<bf16>();
  bf16 *b = a + 16 * 16, *b_turned = b + 16 * 16;
  int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 256; i += 32) {
    a[i] = bf16(a_at(i / 16, i % 16));
    b[i] = bf16(b_at(i / 16, i % 16));                                  // row-major [16, 16], of which 8 columns count
    b_turned[i] = i / 16 < 8 ? bf16(b_at(i % 16, i / 16)) : bf16(0.f);  // b transposed
  }
  __syncwarp();
  std::uint32_t fa[4], fb[4], ft[4];
  loragrad::cuda::load_matrices(fa, a + lane % 16 * 16 + lane / 16 * 8);
  loragrad::cuda::load_matrices_transposed(fb, b + lane % 16 * 16 + lane / 16 * 8);
  loragrad::cuda::load_matrices(ft, b_turned + lane % 8 * 16 + lane / 8 % 2 * 8);
  float d[4] = {}, e[4] = {};
  std::uint32_t first[2] = {fb[0], fb[1]}, turned[2] = {ft[0], ft[1]};
  loragrad::cuda::mma_16x8x16(d, fa, first);
  loragrad::cuda::mma_16x8x16(e, fa, turned);
  for (int i = 0; i < 4; ++i) {
    int row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
    out[row * 8 + col] = d[i] == e[i] ? d[i] : NAN;
  }
}

std::string failure(auto run) {
  try {
    run();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("emulation: threads meet") {
  CHECK(run_block(reverses, 64, 64, 256)[3] == 60);
  std::vector<int> all = run_block(shuffles, 32, 128);
  for (int lane = 0; lane < 32; ++lane) {
    auto at = [&](int i) { return all[static_cast<std::size_t>(4 * lane + i)]; };
    CHECK(at(0) == (lane ^ 5));
    CHECK(at(1) == (lane + 3 < 32 ? lane + 3 : lane));
    CHECK(at(2) == lane / 8 * 8 + 2);
    CHECK(at(3) == 0x49249249);
  }
}

TEST_CASE("emulation: the tile product and ldmatrix") {
  std::vector<float> product = run_block(multiplies, 32, 128, 3 * 512);
  for (int row = 0; row < 16; ++row)
    for (int col = 0; col < 8; ++col) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += a_at(row, k) * b_at(k, col);
      CHECK(product[static_cast<std::size_t>(row * 8 + col)] == sum);
    }
}

TEST_CASE("emulation: what is wrong is an error") {
  CHECK(failure([] { run_block(waits_in_part, 32, 1); }) ==
        "threads wait for others that do not come: 3 of 32 at the block's barrier");
  CHECK(failure([] { run_block(half_a_warp_shuffles, 32, 32); }).find("16 of 32 lanes at shuffle") !=
        std::string::npos);
  CHECK(failure([] { run_block(writes_behind, 4, 4); }).find("written 0 bytes behind its end") != std::string::npos);
  CHECK(failure([] { run_block(writes_behind_shared, 4, 4, 16); }) ==
        "shared memory was written 0 bytes behind its end");
  CHECK(failure([] { run_block(reverses, 2048, 2048, 8192); }) == "launch: 2048 threads in a block");
  CHECK(failure([] { run_block(reverses, 32, 32, 64 << 10); }).find("nobody asked for") != std::string::npos);
  CHECK(failure([] { run_block(reverses, 32, 32, 228 << 10); }).find("bytes of shared memory") != std::string::npos);
  CHECK(run_block(reverses, 64, 64, 256)[3] == 60);  // it goes on after an error
}

TEST_CASE("emulation: memory that nobody wrote is NaN, and copies land when they are waited for") {
  for (float value : run_block(reads_shared, 8, 8, 32)) CHECK(std::isnan(value));
  std::vector<float> landed = run_block(copies, 1, 4, 32);
  CHECK(landed[0] == 0);
  CHECK(landed[1] == 1);
  OwnStream own;
  void *pinned = nullptr, *device = nullptr;
  cudaHostAlloc(&pinned, 8, cudaHostAllocDefault);
  cudaMallocAsync(&device, 4, own.stream);
  auto* host = static_cast<int*>(pinned);
  *host = 1;
  cudaMemcpyAsync(device, host, 4, cudaMemcpyHostToDevice, own.stream);
  *host = 2;  // too early: a stream may read as late as this
  cudaMemcpyAsync(host + 1, device, 4, cudaMemcpyDeviceToHost, own.stream);
  cudaStreamSynchronize(own.stream);
  CHECK(host[1] == 2);
  cudaFreeAsync(device, own.stream);
  cudaFreeHost(pinned);
}

#pragma once
// CUDA's execution model on the processor: the names that ops/cuda uses, for kernels that are compiled as plain C++
// (tests/cuda_emulation/README.md). Found before CUDA's own header.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNotReady = 600,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDriverEntryPointQueryResult { cudaDriverEntryPointSuccess = 0, cudaDriverEntryPointSymbolNotFound = 1 };
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostAllocDefault = 0;
constexpr unsigned long long cudaEnableDefault = 0;

namespace cuda_emulation {

struct Stream;
struct Event;

/// What a kernel may ask of the thread that runs it.
struct Position {
  uint3 thread, block;
  dim3 block_size, grid_size;
};
const Position& position();

/// The block's barrier. An error, reported by the call that waits for the stream, unless every thread comes.
void barrier();
/// Lanes of a warp meet: waits until all of `mask` are here for the same `what`; then `together` sees what each brought
/// (null for lanes that are not in the mask).
void meet(unsigned mask, const char* what, void* brought, void (*together)(void* const* brought));
/// The block's shared memory.
unsigned char* shared_memory();
/// Copies that are made when they are waited for.
void copy_later(void* to, const void* from, std::size_t bytes, bool valid);
void commit_copies();
void wait_for_copies(int groups_left);

/// Has work done in the order of a stream, when somebody waits for it.
void enqueue(Stream* stream, std::function<void()> work);
/// Queues a kernel; `thread` is what one thread does.
cudaError_t launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared, Stream* stream,
                   std::function<void()> thread);

template <class T>
T shuffle(unsigned mask, T value, int from) {
  struct Brought {
    T value, result;
    int from;
  } mine{value, value, from};
  meet(mask, "shuffle", &mine, [](void* const* all) {
    for (int lane = 0; lane < 32; ++lane)
      if (auto* to = static_cast<Brought*>(all[lane]))
        if (to->from >= 0 && to->from < 32 && all[to->from]) to->result = static_cast<Brought*>(all[to->from])->value;
  });
  return mine.result;
}
int lane();

}  // namespace cuda_emulation

#define threadIdx (cuda_emulation::position().thread)
#define blockIdx (cuda_emulation::position().block)
#define blockDim (cuda_emulation::position().block_size)
#define gridDim (cuda_emulation::position().grid_size)

inline void __syncthreads() { cuda_emulation::barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  int nothing = 0;
  cuda_emulation::meet(mask, "syncwarp", &nothing, [](void* const*) {});
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  int lane = cuda_emulation::lane();
  return cuda_emulation::shuffle(mask, value, lane / width * width + from % width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  int lane = cuda_emulation::lane(), from = lane ^ bits;
  return cuda_emulation::shuffle(mask, value, from / width > lane / width ? lane : from);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  int lane = cuda_emulation::lane(), from = lane + static_cast<int>(by);
  return cuda_emulation::shuffle(mask, value, from / width == lane / width ? from : lane);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  struct Brought {
    int predicate;
    unsigned result;
  } mine{predicate, 0};
  cuda_emulation::meet(mask, "ballot", &mine, [](void* const* all) {
    unsigned bits = 0;
    for (int lane = 0; lane < 32; ++lane)
      if (all[lane] && static_cast<Brought*>(all[lane])->predicate) bits |= 1u << lane;
    for (int lane = 0; lane < 32; ++lane)
      if (all[lane]) static_cast<Brought*>(all[lane])->result = bits;
  });
  return mine.result;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(std::uint64_t{a} * b >> 32); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
using std::max;
using std::min;

// The runtime's calls. Any thread may make them.
using cudaStream_t = cuda_emulation::Stream*;
using cudaEvent_t = cuda_emulation::Event*;
struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
};

const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int);
cudaError_t cudaDriverGetVersion(int*);
cudaError_t cudaRuntimeGetVersion(int*);
cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total);
cudaError_t cudaGetLastError();
cudaError_t cudaMalloc(void**, std::size_t);
cudaError_t cudaFree(void*);
cudaError_t cudaMallocAsync(void**, std::size_t, cudaStream_t);
cudaError_t cudaFreeAsync(void*, cudaStream_t);
cudaError_t cudaHostAlloc(void**, std::size_t, unsigned flags);
cudaError_t cudaFreeHost(void*);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned flags = 0);
cudaError_t cudaEventCreate(cudaEvent_t*);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);
struct cudaFuncAttributes {};
inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, const void*) { return cudaSuccess; }
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value);
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned version,
                                             unsigned long long flags, cudaDriverEntryPointQueryResult* = nullptr);

template <class... Params>
cudaError_t cudaLaunchKernel(void (*kernel)(Params...), dim3 grid, dim3 block, void** args, std::size_t shared,
                             cudaStream_t stream) {
  std::tuple<Params...> values = [&]<std::size_t... i>(std::index_sequence<i...>) {
    return std::tuple<Params...>{*static_cast<Params*>(args[i])...};
  }
  (std::index_sequence_for<Params...>());
  return cuda_emulation::launch(reinterpret_cast<const void*>(kernel), grid, block, shared, stream,
                                [kernel, values] { std::apply(kernel, values); });
}

#include "tests/cuda_emulation/memory.h"

#include <cuda.h>
#include <cuda_runtime.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>

#include "tests/cuda_emulation/machine.h"

namespace cuda_emulation {
namespace {

constexpr std::size_t guard = 256, granularity = 2 << 20;
constexpr unsigned char nan_byte = 0xff, guard_byte = 0xa5;

struct State {
  std::mutex mutex;
  std::map<const unsigned char*, std::size_t> device, pinned;
  std::map<CUmemGenericAllocationHandle, std::size_t> handles;
  std::size_t used = 0, allocations = 0;
};
State& state() {
  static State all;
  return all;
}

/// Memory with bytes behind it that nobody may write.
unsigned char* new_block(std::size_t bytes) {
  auto* p = static_cast<unsigned char*>(std::aligned_alloc(guard, (bytes + 2 * guard - 1) / guard * guard));
  std::memset(p, nan_byte, bytes);
  std::memset(p + bytes, guard_byte, (bytes + 2 * guard - 1) / guard * guard - bytes);
  return p;
}
void check_guard(const unsigned char* p, std::size_t bytes) {
  for (std::size_t i = bytes; i < (bytes + 2 * guard - 1) / guard * guard; ++i)
    if (p[i] != guard_byte)
      throw std::logic_error("device memory of " + std::to_string(bytes) + " bytes was written " +
                             std::to_string(i - bytes) + " bytes behind its end");
}

cudaError_t free_block(void* p) {
  if (!p) return cudaSuccess;
  State& s = state();
  std::lock_guard held(s.mutex);
  auto found = s.device.find(static_cast<unsigned char*>(p));
  if (found == s.device.end()) throw std::logic_error("device memory is freed that is not there");
  check_guard(found->first, found->second);
  std::memset(p, nan_byte, found->second);
  s.used -= found->second;
  s.device.erase(found);
  std::free(p);
  return cudaSuccess;
}

}  // namespace

std::size_t allocations() {
  State& s = state();
  std::lock_guard held(s.mutex);
  return s.allocations;
}

bool is_pinned(const void* address) {
  State& s = state();
  std::lock_guard held(s.mutex);
  auto at = static_cast<const unsigned char*>(address);
  auto next = s.pinned.upper_bound(at);
  if (next == s.pinned.begin()) return false;
  --next;
  return at < next->first + next->second;
}

const Machine& machine() {
  static const Machine from_environment = [] {
    Machine m;
    std::size_t mebibytes = m.memory >> 20, taken = 0;
    if (const char* text = std::getenv("EMULATED_GPUS"))
      if (std::sscanf(text, "%d %d.%d %zu %d %zu", &m.gpus, &m.major, &m.minor, &mebibytes, &m.driver, &taken) < 5)
        throw std::logic_error("EMULATED_GPUS: expected COUNT CAPABILITY MEBIBYTES DRIVER");
    m.memory = mebibytes << 20;
    m.taken = taken << 20;
    return m;
  }();
  return from_environment;
}

}  // namespace cuda_emulation

using namespace cuda_emulation;

cudaError_t cudaMalloc(void** p, std::size_t bytes) {
  State& s = state();
  std::lock_guard held(s.mutex);
  if (s.used + bytes > machine().memory) return cudaErrorMemoryAllocation;
  unsigned char* block = new_block(bytes);
  ++s.allocations;
  s.device[block] = bytes;
  s.used += bytes;
  *p = block;
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  run_everything();
  return free_block(p);
}
cudaError_t cudaMallocAsync(void** p, std::size_t bytes, cudaStream_t) { return cudaMalloc(p, bytes); }
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  enqueue(stream, [p] { free_block(p); });
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** p, std::size_t bytes, unsigned) {
  State& s = state();
  std::lock_guard held(s.mutex);
  *p = new_block(bytes);
  ++s.allocations;
  s.pinned[static_cast<unsigned char*>(*p)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) {
  run_everything();
  State& s = state();
  std::lock_guard held(s.mutex);
  auto found = s.pinned.find(static_cast<unsigned char*>(p));
  if (found == s.pinned.end()) throw std::logic_error("pinned memory is freed that is not there");
  check_guard(found->first, found->second);
  s.pinned.erase(found);
  std::free(p);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
  State& s = state();
  std::lock_guard held(s.mutex);
  *total = machine().memory;
  *available = machine().memory - s.used;
  return cudaSuccess;
}

// Address space, and memory that is mapped into it: NaN when it comes.
CUresult cuMemAddressReserve(CUdeviceptr* at, std::size_t size, std::size_t, CUdeviceptr, unsigned long long) {
  void* p = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  *at = reinterpret_cast<CUdeviceptr>(p);
  return CUDA_SUCCESS;
}
CUresult cuMemAddressFree(CUdeviceptr at, std::size_t size) {
  munmap(reinterpret_cast<void*>(at), size);
  return CUDA_SUCCESS;
}
CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t size, const CUmemAllocationProp*,
                     unsigned long long) {
  State& s = state();
  std::lock_guard held(s.mutex);
  if (size % granularity) return CUDA_ERROR_INVALID_VALUE;
  if (s.used + size + machine().taken > machine().memory) return CUDA_ERROR_OUT_OF_MEMORY;
  static CUmemGenericAllocationHandle next = 1;
  s.used += size;
  ++s.allocations;
  s.handles[*handle = next++] = size;
  return CUDA_SUCCESS;
}
CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  State& s = state();
  std::lock_guard held(s.mutex);
  auto found = s.handles.find(handle);
  if (found == s.handles.end()) return CUDA_ERROR_INVALID_VALUE;
  s.handles.erase(found);
  return CUDA_SUCCESS;
}
CUresult cuMemMap(CUdeviceptr, std::size_t size, std::size_t, CUmemGenericAllocationHandle handle, unsigned long long) {
  State& s = state();
  std::lock_guard held(s.mutex);
  auto found = s.handles.find(handle);
  return found != s.handles.end() && found->second == size ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemSetAccess(CUdeviceptr at, std::size_t size, const CUmemAccessDesc*, std::size_t) {
  void* p = reinterpret_cast<void*>(at);
  if (mprotect(p, size, PROT_READ | PROT_WRITE) != 0) return CUDA_ERROR_INVALID_VALUE;
  std::memset(p, nan_byte, size);
  return CUDA_SUCCESS;
}
CUresult cuMemUnmap(CUdeviceptr at, std::size_t size) {
  State& s = state();
  std::lock_guard held(s.mutex);
  s.used -= size;
  return mprotect(reinterpret_cast<void*>(at), size, PROT_NONE) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemGetAllocationGranularity(std::size_t* size, const CUmemAllocationProp*,
                                       CUmemAllocationGranularity_flags) {
  *size = granularity;
  return CUDA_SUCCESS;
}

#include "ops/cuda/upload_ring.h"

#include <cstring>

#include "ops/cuda/status.h"

namespace loragrad::cuda {

UploadRing::UploadRing(cudaStream_t stream) : stream_(stream) {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, 2 * half_bytes, cudaHostAllocDefault), "pinned memory");
  memory_ = static_cast<std::byte*>(memory);
  for (cudaEvent_t& event : copied_) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "event");
}

UploadRing::~UploadRing() {
  cudaStreamSynchronize(stream_);
  for (cudaEvent_t event : copied_) cudaEventDestroy(event);
  cudaFreeHost(memory_);
}

void UploadRing::upload(void* to, const void* from, std::size_t bytes) {
  if (used_ + bytes > half_bytes) {
    check(cudaEventRecord(copied_[half_], stream_), "upload");
    half_ = 1 - half_;
    used_ = 0;
    check(cudaEventSynchronize(copied_[half_]), "upload");
  }
  std::byte* at = memory_ + half_ * half_bytes + used_;
  std::memcpy(at, from, bytes);
  used_ += (bytes + 63) / 64 * 64;
  check(cudaMemcpyAsync(to, at, bytes, cudaMemcpyHostToDevice, stream_), "upload");
}

}  // namespace loragrad::cuda

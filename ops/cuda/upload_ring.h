#pragma once
#include <cuda_runtime.h>

#include <array>
#include <cstddef>

namespace loragrad::cuda {

/// Pinned memory through which small uploads go, so that the host's bytes are read at once and nobody waits for the
/// copy: token ids, offsets, lists that kernels read. Its halves are filled in turn; a half is used again when the
/// stream has copied what was in it.
class UploadRing {
 public:
  static constexpr std::size_t largest = 1 << 20;  ///< bytes of one upload

  explicit UploadRing(cudaStream_t stream);
  UploadRing(const UploadRing&) = delete;
  UploadRing& operator=(const UploadRing&) = delete;
  ~UploadRing();
  void upload(void* to, const void* from, std::size_t bytes);

 private:
  static constexpr std::size_t half_bytes = 2 * largest;
  cudaStream_t stream_;
  std::byte* memory_ = nullptr;
  std::array<cudaEvent_t, 2> copied_{};
  std::size_t half_ = 0, used_ = 0;
};

}  // namespace loragrad::cuda

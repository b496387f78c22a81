#pragma once
#include <cuda_runtime.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/device.h"

namespace loragrad::cuda {

/// Large uploads, such as a model's weights: threads read pieces into pinned buffers (with pread where the bytes are a
/// file's) while earlier pieces are being copied, on a stream of their own. The caller goes on at once;
/// `finish` is called before the device's stream may read what was copied.
class FileUpload {
 public:
  explicit FileUpload(int gpu, cudaStream_t stream);
  FileUpload(const FileUpload&) = delete;
  FileUpload& operator=(const FileUpload&) = delete;
  ~FileUpload();
  void upload(void* to, HostBytes from);
  /// Waits until everything has been handed to the copying stream, and lets the device's stream wait for that.
  void settle() noexcept;
  /// The same; IoError where a file could not be read.
  void finish();

 private:
  struct Piece {
    std::byte* to;
    HostBytes from;
  };
  void start();
  void work();
  void copy(const Piece& piece, std::byte* buffer, cudaEvent_t copied);

  int gpu_;
  cudaStream_t stream_, copies_ = nullptr;
  cudaEvent_t before_ = nullptr, after_ = nullptr;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable more_, done_;
  std::deque<Piece> pieces_;
  std::size_t unfinished_ = 0;
  std::exception_ptr failure_;
  bool pending_ = false, stop_ = false;
};

}  // namespace loragrad::cuda

#include "ops/cuda/file_upload.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "engine/error.h"
#include "ops/cuda/status.h"

namespace loragrad::cuda {
namespace {

constexpr std::size_t piece_bytes = 8 << 20;
constexpr int workers = 3, buffers_of_one = 2;

/// Reads into pinned memory: from the file itself where there is one, since that is faster than to touch its map page by
/// page, and a file that was cut short is an error and no signal.
void read(const HostBytes& from, std::byte* to) {
  if (from.file < 0) {
    std::memcpy(to, from.data, from.size);
    return;
  }
  for (std::size_t done = 0; done < from.size;) {
    ssize_t count = ::pread(from.file, to + done, from.size - done, static_cast<off_t>(from.file_offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw IoError("weights: cannot read: " + std::generic_category().message(errno));
    if (count == 0) throw IoError("weights: cannot read: the file was cut short while it was in use");
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace

FileUpload::FileUpload(int gpu, cudaStream_t stream) : gpu_(gpu), stream_(stream) {}

void FileUpload::start() {
  check(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking), "stream");
  for (cudaEvent_t* event : {&before_, &after_})
    check(cudaEventCreateWithFlags(event, cudaEventDisableTiming), "event");
  for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
}

FileUpload::~FileUpload() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  more_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  if (!copies_) return;
  cudaStreamSynchronize(copies_);
  cudaStreamDestroy(copies_);
  for (cudaEvent_t event : {before_, after_}) cudaEventDestroy(event);
}

void FileUpload::upload(void* to, HostBytes from) {
  if (workers_.empty()) start();
  // What is overwritten may still be in use.
  check(cudaEventRecord(before_, stream_), "upload");
  check(cudaStreamWaitEvent(copies_, before_), "upload");
  pending_ = true;
  std::lock_guard lock(mutex_);
  for (std::size_t begin = 0; begin < from.size; begin += piece_bytes) {
    HostBytes part = from;
    part.data = static_cast<const std::byte*>(from.data) + begin;
    part.file_offset += begin;
    part.size = std::min(piece_bytes, from.size - begin);
    pieces_.push_back({static_cast<std::byte*>(to) + begin, std::move(part)});
    ++unfinished_;
  }
  more_.notify_all();
}

void FileUpload::work() {
  struct Buffer {
    void* memory = nullptr;
    cudaEvent_t copied = nullptr;
  };
  std::array<Buffer, buffers_of_one> buffers;
  std::size_t next = 0;
  while (true) {
    Piece piece;
    {
      std::unique_lock lock(mutex_);
      more_.wait(lock, [&] { return stop_ || !pieces_.empty(); });
      if (pieces_.empty()) break;
      piece = std::move(pieces_.front());
      pieces_.pop_front();
    }
    try {
      Buffer& buffer = buffers[next++ % buffers.size()];
      if (!buffer.memory) {
        check(cudaSetDevice(gpu_), "device");
        check(cudaHostAlloc(&buffer.memory, piece_bytes, cudaHostAllocDefault), "pinned memory");
        check(cudaEventCreateWithFlags(&buffer.copied, cudaEventDisableTiming), "event");
      }
      check(cudaEventSynchronize(buffer.copied), "upload");
      copy(piece, static_cast<std::byte*>(buffer.memory), buffer.copied);
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
    piece = {};
    std::lock_guard lock(mutex_);
    if (--unfinished_ == 0) done_.notify_all();
  }
  cudaStreamSynchronize(copies_);
  for (const Buffer& buffer : buffers) {
    if (buffer.copied) cudaEventDestroy(buffer.copied);
    if (buffer.memory) cudaFreeHost(buffer.memory);
  }
}

void FileUpload::copy(const Piece& piece, std::byte* buffer, cudaEvent_t copied) {
  read(piece.from, buffer);
  check(cudaMemcpyAsync(piece.to, buffer, piece.from.size, cudaMemcpyHostToDevice, copies_), "upload");
  check(cudaEventRecord(copied, copies_), "upload");
}

void FileUpload::settle() noexcept {
  if (!pending_) return;
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return unfinished_ == 0; });
  pending_ = false;
  try {
    check(cudaEventRecord(after_, copies_), "upload");
    check(cudaStreamWaitEvent(stream_, after_), "upload");
  } catch (...) {
    if (!failure_) failure_ = std::current_exception();
  }
}

void FileUpload::finish() {
  settle();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace loragrad::cuda

#include <cuda_runtime.h>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/cuda_emulation/execution.h"
#include "tests/cuda_emulation/memory.h"

namespace cuda_emulation {

/// Work that is done in its order, when somebody waits for it.
struct Stream {
  std::deque<std::function<void()>> work;
};

struct Event {
  Stream* stream = nullptr;
  int recorded = 0, passed = 0;  // times
  std::chrono::steady_clock::time_point at;
};

namespace {

constexpr std::size_t most_shared = 227 << 10, shared_of_all = 48 << 10;

std::recursive_mutex& lock() {
  static std::recursive_mutex mutex;
  return mutex;
}

std::vector<std::unique_ptr<Stream>>& streams() {
  static std::vector<std::unique_ptr<Stream>> all;
  return all;
}

std::map<const void*, std::size_t>& shared_of_kernels() {
  static std::map<const void*, std::size_t> most;
  return most;
}

void run_one(Stream& stream) {
  std::function<void()> next = std::move(stream.work.front());
  stream.work.pop_front();
  try {
    next();
  } catch (...) {
    stream.work.clear();  // nothing comes of what follows an error
    throw;
  }
}

void run(Stream& stream) {
  while (!stream.work.empty()) run_one(stream);
}

void wait_for(const Event& event, int times) {
  while (event.passed < times) {
    if (!event.stream || event.stream->work.empty()) throw std::logic_error("an event that nobody will reach");
    run_one(*event.stream);
  }
}

}  // namespace

void enqueue(Stream* stream, std::function<void()> work) {
  std::lock_guard held(lock());
  stream->work.push_back(std::move(work));
}

void run_everything() {
  std::lock_guard held(lock());
  for (const auto& stream : streams()) run(*stream);
}

cudaError_t launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared, Stream* stream,
                   std::function<void()> thread) {
  std::lock_guard held(lock());
  std::size_t threads = std::size_t{block.x} * block.y * block.z;
  auto refuse = [](const std::string& why) { throw std::logic_error("launch: " + why); };
  if (threads == 0 || threads > 1024) refuse(std::to_string(threads) + " threads in a block");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) refuse("an empty grid");
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) refuse("a grid above the limits");
  if (shared > most_shared) refuse(std::to_string(shared) + " bytes of shared memory");
  if (shared > shared_of_all && shared > shared_of_kernels()[kernel])
    refuse("more than 48 KiB of shared memory, which nobody asked for");
  enqueue(stream, [=, thread = std::move(thread)] { run_grid(grid, block, shared, thread); });
  return cudaSuccess;
}

}  // namespace cuda_emulation

using namespace cuda_emulation;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  std::lock_guard held(lock());
  streams().push_back(std::make_unique<Stream>());
  *stream = streams().back().get();
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::lock_guard held(lock());
  while (!stream->work.empty()) run_one(*stream);
  std::erase_if(streams(), [&](const auto& s) { return s.get() == stream; });
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  std::lock_guard held(lock());
  run(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  std::lock_guard held(lock());
  enqueue(stream, [event, times = event->recorded] { wait_for(*event, times); });
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new Event;
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return cudaEventCreate(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  std::lock_guard held(lock());
  if (event->passed < event->recorded && event->stream && !event->stream->work.empty())
    wait_for(*event, event->recorded);
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  std::lock_guard held(lock());
  if (event->stream && event->stream != stream) wait_for(*event, event->recorded);
  event->stream = stream;
  ++event->recorded;
  enqueue(stream, [event] {
    ++event->passed;
    event->at = std::chrono::steady_clock::now();
  });
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::lock_guard held(lock());
  if (event->stream) wait_for(*event, event->recorded);
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  std::lock_guard held(lock());
  if (begin->passed < begin->recorded || end->passed < end->recorded) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(end->at - begin->at).count();
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  std::lock_guard held(lock());
  shared_of_kernels()[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  std::lock_guard held(lock());
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from)) {
    // The driver has read pageable memory when the call returns.
    std::vector<unsigned char> read(static_cast<const unsigned char*>(from),
                                    static_cast<const unsigned char*>(from) + bytes);
    enqueue(stream, [to, read = std::move(read)] { std::memcpy(to, read.data(), read.size()); });
    return cudaSuccess;
  }
  enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  if (kind == cudaMemcpyDeviceToHost && !is_pinned(to)) run(*stream);
  return cudaSuccess;
}

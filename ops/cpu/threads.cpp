#include "ops/cpu/threads.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

#include "engine/error.h"
#include "engine/memory_limit.h"
#include "ops/cpu/cpu_device.h"

namespace loragrad {
namespace cpu {
namespace {

// The next loop mostly comes within microseconds, and waking a thread takes as long as a small loop does: some 30
// microseconds of looking come first.
constexpr int most_spins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Waits while `value` is `old`.
template <class T>
T changed(const std::atomic<T>& value, T old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (T now = value.load(); now != old) return now;
    pause();
  }
  value.wait(old);
  return value.load();
}

}  // namespace

// More threads than processors would take them from each other while they look.
ThreadPool::ThreadPool(int threads)
    : size_(std::max(1, threads)), spins_(threads <= available_threads() ? most_spins : 0) {}

void ThreadPool::start() {
  try {
    for (int i = 1; i < size_; ++i) workers_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    std::size_t started = workers_.size() + 1;
    end();
    throw IoError("threads: expected " + std::to_string(size_) + " that can be started, found " +
                  std::to_string(started) + ": " + error.code().message() + limit_text());
  }
}

ThreadPool::~ThreadPool() { end(); }

void ThreadPool::end() {
  stop_ = true;
  ++generation_;
  generation_.notify_all();
  for (auto& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::drain() {
  for (std::int64_t i; (i = next_++) < count_;) {
    try {
      (*task_)(i);
    } catch (...) {
      std::lock_guard lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }
}

void ThreadPool::work() {
  for (std::uint32_t seen = 0;;) {
    seen = changed(generation_, seen, spins_);
    if (stop_) return;
    drain();
    if (--running_ == 0) running_.notify_one();
  }
}

void ThreadPool::parallel_for(std::int64_t n, const std::function<void(std::int64_t)>& task) {
  if (n <= 0) return;
  if (workers_.empty() || n == 1) {
    for (std::int64_t i = 0; i < n; ++i) task(i);
    return;
  }
  task_ = &task;
  count_ = n;
  next_ = 0;
  running_ = static_cast<int>(workers_.size());
  failure_ = nullptr;
  ++generation_;
  generation_.notify_all();
  drain();
  for (int left = running_; left != 0;) left = changed(running_, left, spins_);
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace cpu

int available_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  // A container's quota: "max 100000" or "200000 100000" (microseconds of processor time a period).
  std::ifstream quota("/sys/fs/cgroup/cpu.max");
  std::string limit;
  double period = 0;
  if (quota >> limit >> period && limit != "max" && period > 0)
    n = std::min(n, static_cast<int>(std::max(1.0, std::stod(limit) / period + 0.5)));
  return std::max(1, n);
}

}  // namespace loragrad

#pragma once
// Threads: one at a time calls parallel_for.
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace loragrad::cpu {

/// A fixed set of threads that share out the tasks 0..n-1 of one parallel_for at a time. Which thread runs a task never
/// changes its result, and callers cut work such that results do not depend on the number of threads
/// (docs/design/006-determinism.md). Until start() the one who calls does all of it.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();
  /// IoError where the system does not start so many.
  void start();
  /// Threads that there are once it has been started, the caller among them.
  int size() const { return size_; }

  /// Runs task(0) .. task(n - 1), each once, and returns when all have ended. The caller takes part. The first
  /// exception a task throws is rethrown here after all have ended. Not re-entrant: a task must not call parallel_for.
  void parallel_for(std::int64_t n, const std::function<void(std::int64_t)>& task);

 private:
  void work();
  void drain();
  void end();

  int size_, spins_;
  std::vector<std::thread> workers_;
  const std::function<void(std::int64_t)>* task_ = nullptr;
  std::int64_t count_ = 0;
  std::atomic<std::int64_t> next_ = 0;
  std::atomic<int> running_ = 0;               // workers that have not ended this generation's tasks
  std::atomic<std::uint32_t> generation_ = 0;  // of parallel_for's calls
  std::atomic<bool> stop_ = false;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

}  // namespace loragrad::cpu

#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace loragrad {

/// A fixed set of threads that share out the tasks 0..n-1 of one parallel_for at a time. Which thread runs a task never
/// changes its result: callers cut work into tiles by shape alone, so results do not depend on the number of threads.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Runs task(0) .. task(n - 1), each once, and returns when all have ended. The caller takes part. The first
  /// exception a task throws is rethrown here after all have ended. Not re-entrant: a task must not call parallel_for.
  void parallel_for(std::int64_t n, const std::function<void(std::int64_t)>& task);

 private:
  void work();
  void drain();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void(std::int64_t)>* task_ = nullptr;
  std::int64_t next_ = 0, count_ = 0, running_ = 0;
  std::uint64_t generation_ = 0;
  std::exception_ptr failure_;
  bool stop_ = false;
};

/// The processors this process may use (affinity and cgroup), at least 1.
int available_threads();

}  // namespace loragrad

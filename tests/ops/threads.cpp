#include "ops/cpu/threads.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "engine/error.h"
#include "tests/sanitizers/sanitizers.h"

using namespace loragrad;
using cpu::ThreadPool;

TEST_CASE("parallel_for runs every task once and passes on an exception") {
  ThreadPool pool(4);
  pool.start();
  for (int round = 0; round < 50; ++round) {
    std::vector<std::atomic<int>> runs(101);
    pool.parallel_for(101, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
    for (auto& r : runs) CHECK(r == 1);
  }
  CHECK_THROWS_AS(pool.parallel_for(10,
                                    [](std::int64_t i) {
                                      if (i == 7) throw std::runtime_error("seven");
                                    }),
                  std::runtime_error);
  std::atomic<int> count = 0;
  pool.parallel_for(3, [&](std::int64_t) { ++count; });
  CHECK(count == 3);
}

TEST_CASE("parallel_for wakes threads that have gone to sleep") {
  ThreadPool pool(3);
  pool.start();
  for (int round = 0; round < 20; ++round) {
    // Tasks that are longer than threads stay awake, and pauses that are.
    std::atomic<int> count = 0;
    pool.parallel_for(3, [&](std::int64_t i) {
      if (i == round % 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ++count;
    });
    CHECK(count == 3);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_CASE("threads that cannot be started are an error, and those that were are ended") {
  if (test::is_sanitized) {
    MESSAGE("SKIPPED: a sanitizer takes more addresses than threads are limited to here");
    return;
  }
  pid_t child = ::fork();
  if (child == 0) {
    // Stacks are addresses too.
    rlimit limit{.rlim_cur = std::size_t{1} << 30, .rlim_max = std::size_t{1} << 30};
    ::setrlimit(RLIMIT_AS, &limit);
    try {
      ThreadPool(4000).start();
      ::_exit(1);
    } catch (const IoError& error) {
      ::_exit(std::string(error.what()).starts_with("threads: expected 4000 that can be started, found ") ? 0 : 2);
    }
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("a pool that is not started has its size, and the caller does the work") {
  ThreadPool pool(4000);
  CHECK(pool.size() == 4000);
  std::thread::id other = std::this_thread::get_id();
  int count = 0;
  pool.parallel_for(100, [&](std::int64_t) { count += std::this_thread::get_id() == other; });
  CHECK(count == 100);
}

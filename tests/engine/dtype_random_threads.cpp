#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>

#include "engine/dtype.h"
#include "engine/error.h"
#include "engine/random.h"
#include "engine/threads.h"

using namespace loragrad;

TEST_CASE("bf16 rounds to nearest even and keeps NaN and infinity") {
  CHECK(static_cast<float>(bf16(1.0f)) == 1.0f);
  CHECK(bf16(1.0f + 0x1p-8f).bits == bf16(1.0f).bits);                    // halfway: to even
  CHECK(static_cast<float>(bf16(1.0f + 3 * 0x1p-8f)) == 1.0f + 0x1p-6f);  // halfway: to even, upwards
  CHECK(std::isnan(static_cast<float>(bf16(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(std::isinf(static_cast<float>(bf16(std::numeric_limits<float>::infinity()))));
  CHECK(std::isinf(static_cast<float>(bf16(std::numeric_limits<float>::max()))));
}

TEST_CASE("f16 reads normals, subnormals, zeros, infinities and NaN") {
  auto half = [](std::uint16_t bits) {
    f16 h;
    h.bits = bits;
    return static_cast<float>(h);
  };
  CHECK(half(0x3c00) == 1.0f);
  CHECK(half(0xc000) == -2.0f);
  CHECK(half(0x7bff) == 65504.0f);
  CHECK(half(0x0001) == 0x1p-24f);
  CHECK(half(0x83ff) == -1023 * 0x1p-24f);
  CHECK(half(0x0000) == 0.0f);
  CHECK(std::isinf(half(0x7c00)));
  CHECK(half(0xfc00) < 0);
  CHECK(std::isnan(half(0x7e00)));
}

TEST_CASE("philox equals the published known-answer vectors") {
  // Random123's kat_vectors, philox4x32 with 10 rounds.
  CHECK(philox({0, 0, 0, 0}, 0) == std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffffu) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("uniform and normal numbers have their moments; streams differ") {
  Random random(7, 1);
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  constexpr int n = 100'000;
  for (int i = 0; i < n; ++i) {
    double u = random.uniform(), z = random.normal();
    sum += u;
    squares += u * u;
    normal_sum += z;
    normal_squares += z * z;
  }
  CHECK(std::abs(sum / n - 0.5) < 0.005);
  CHECK(std::abs(squares / n - 1.0 / 3) < 0.005);
  CHECK(std::abs(normal_sum / n) < 0.015);
  CHECK(std::abs(normal_squares / n - 1) < 0.02);
  CHECK(Random(7, 1).next() != Random(7, 2).next());
  CHECK(Random(7, 1).next() == Random(7, 1).next());
  for (int i = 0; i < 1000; ++i) CHECK(random.below(3) < 3);
}

TEST_CASE("parallel_for runs every task once and passes on an exception") {
  ThreadPool pool(4);
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
  pid_t child = ::fork();
  if (child == 0) {
    // Stacks are addresses too.
    rlimit limit{.rlim_cur = std::size_t{1} << 30, .rlim_max = std::size_t{1} << 30};
    ::setrlimit(RLIMIT_AS, &limit);
    try {
      ThreadPool pool(4000);
      ::_exit(1);
    } catch (const IoError& error) {
      ::_exit(std::string(error.what()).starts_with("threads: expected 4000 that can be started, found ") ? 0 : 2);
    }
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

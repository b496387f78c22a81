#include "ops/cpu/arena.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "engine/error.h"
#include "engine/memory_limit.h"

using namespace loragrad;
using cpu::Arena;

namespace {

constexpr std::size_t mebi = std::size_t{1} << 20;

/// work() in a process that may take so many bytes more; the line where it fails, 0 where it does not.
int within(std::size_t more, int (*work)()) {
  pid_t child = ::fork();
  if (child == 0) {
    rlim_t limit = memory_used().addresses + more;
    rlimit both{.rlim_cur = limit, .rlim_max = limit};
    ::setrlimit(RLIMIT_AS, &both);
    ::_exit(work());
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

#define EXPECT(what) \
  if (!(what)) return __LINE__

}  // namespace

TEST_CASE("without a limit of memory there is none to tell of") {
  CHECK(!memory_limit());
  CHECK(limit_text() == "");
  CHECK(has_room(1));
  CHECK(!has_room(std::size_t{1} << 60));
  CHECK_THROWS_WITH_AS(require_room(std::size_t{1} << 60, "a test"),
                       "memory: expected 1099511627776 MiB more for a test, found less: raise the limit, or take fewer "
                       "threads or smaller batches",
                       OutOfMemory);
}

TEST_CASE("a limit of memory, and what is left of it") {
  CHECK(within(100 * mebi, [] {
          std::optional<MemoryLimit> limit = memory_limit();
          EXPECT(limit && std::string(limit->name) == "ulimit -v");
          EXPECT(limit->left > 90 * mebi && limit->left <= 100 * mebi);
          EXPECT(limit_text().ends_with(" MiB left of ulimit -v " + std::to_string(limit->bytes >> 20) + " MiB)"));
          EXPECT(has_room(90 * mebi) && !has_room(101 * mebi));
          rlimit data{.rlim_cur = memory_used().data + 50 * mebi, .rlim_max = RLIM_INFINITY};
          ::setrlimit(RLIMIT_DATA, &data);
          limit = memory_limit();
          EXPECT(limit && std::string(limit->name) == "ulimit -d");
          EXPECT(limit->left > 40 * mebi && limit->left <= 50 * mebi);
          return 0;
        }) == 0);
}

TEST_CASE("under a limit an arena takes what tensors take, and leaves some to others") {
  CHECK(within(200 * mebi, [] {
          Arena first, second;
          EXPECT(memory_limit()->left > 190 * mebi);
          MemoryBlock a = first.allocate(60 * mebi), b = second.allocate(40 * mebi);
          std::memset(a.data, 1, 60 * mebi);
          std::memset(b.data, 2, 40 * mebi);
          // It goes on where it was, and what was there stays.
          MemoryBlock next = first.allocate(20 * mebi);
          std::memset(next.data, 3, 20 * mebi);
          EXPECT(static_cast<std::byte*>(next.data) == static_cast<std::byte*>(a.data) + 60 * mebi);
          EXPECT(static_cast<std::byte*>(a.data)[60 * mebi - 1] == std::byte{1});
          EXPECT(static_cast<std::byte*>(b.data)[40 * mebi - 1] == std::byte{2});
          try {
            second.allocate(60 * mebi);
            return __LINE__;
          } catch (const OutOfMemory& error) {
            EXPECT(std::string(error.what()).starts_with("memory: expected 92 MiB more for tensors, found less ("));
          }
          EXPECT(has_room(32 * mebi));
          // What was asked for in vain is free again, and so is what is given back.
          EXPECT(second.allocate(mebi).offset == 40 * mebi);
          second.release(b, 40 * mebi);
          EXPECT(second.allocate(30 * mebi).offset == 0);
          return 0;
        }) == 0);
}

TEST_CASE("under a limit that is used up an arena is an error") {
  CHECK(within(0, [] {
          try {
            Arena arena;
            arena.allocate(1);
          } catch (const OutOfMemory&) {
            return 0;
          }
          return __LINE__;
        }) == 0);
}

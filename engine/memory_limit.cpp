#include "engine/memory_limit.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "engine/error.h"

namespace loragrad {
namespace {

struct Used {
  std::size_t addresses = 0, data = 0;
};

Used used() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0, resident = 0, shared = 0, text = 0, library = 0, data = 0;
  statm >> size >> resident >> shared >> text >> library >> data;
  auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return {size * page, data * page};
}

std::string mebibytes(std::size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

std::optional<MemoryLimit> memory_limit() {
  std::optional<MemoryLimit> least;
  auto consider = [&](auto resource, const char* name, std::size_t Used::*taken) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    std::size_t bytes = limit.rlim_cur, left = bytes - std::min(bytes, used().*taken);
    if (!least || left < least->left) least = {name, bytes, left};
  };
  consider(RLIMIT_AS, "ulimit -v", &Used::addresses);
  consider(RLIMIT_DATA, "ulimit -d", &Used::data);
  return least;
}

std::string limit_text() {
  std::optional<MemoryLimit> limit = memory_limit();
  return limit ? " (" + mebibytes(limit->left) + " left of " + limit->name + " " + mebibytes(limit->bytes) + ")" : "";
}

bool has_room(std::size_t bytes) noexcept {
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p != MAP_FAILED && ::munmap(p, bytes) == 0;
}

void require_room(std::size_t bytes, const char* what) {
  if (!has_room(bytes)) fail_for_room(bytes, what);
}

void fail_for_room(std::size_t bytes, const char* what) {
  throw OutOfMemory("memory: expected " + mebibytes(bytes + (std::size_t{1} << 20) - 1) + " more for " + what +
                    ", found less" + limit_text() + ": raise the limit, or take fewer threads or smaller batches");
}

}  // namespace loragrad

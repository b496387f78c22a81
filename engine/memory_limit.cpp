#include "engine/memory_limit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "engine/error.h"

namespace loragrad {
namespace {

std::string mebibytes(std::size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

MemoryUsed memory_used() noexcept {
  char text[256];
  int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  ssize_t size = file < 0 ? 0 : ::read(file, text, sizeof text - 1);
  if (file >= 0) ::close(file);
  text[std::max<ssize_t>(size, 0)] = '\0';
  std::size_t bytes[6] = {};  // all, resident, shared, of code, 0, of data
  char* at = text;
  for (std::size_t& field : bytes)
    field = std::strtoull(at, &at, 10) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return {bytes[0], bytes[1], bytes[5]};
}

std::optional<MemoryLimit> memory_limit() {
  std::optional<MemoryLimit> least;
  MemoryUsed used = memory_used();
  auto consider = [&](auto resource, const char* name, std::size_t taken) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    std::size_t bytes = limit.rlim_cur, left = bytes - std::min(bytes, taken);
    if (!least || left < least->left) least = {name, bytes, left};
  };
  consider(RLIMIT_AS, "ulimit -v", used.addresses);
  consider(RLIMIT_DATA, "ulimit -d", used.data);
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

#include "tests/device/walled_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "engine/error.h"

namespace loragrad::test {
namespace {

constexpr std::size_t huge_page = 2 << 20, reserved = std::size_t{1} << 36;

std::size_t in_pages(std::size_t bytes) { return (bytes + huge_page - 1) / huge_page * huge_page; }

}  // namespace

WalledMemory::WalledMemory() : placement_(reserved) {
  void* p = mmap(nullptr, reserved + huge_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw IoError(std::string("walled memory: cannot reserve memory: ") + std::strerror(errno));
  mapped_ = static_cast<std::byte*>(p);
  base_ = mapped_ + (in_pages(reinterpret_cast<std::uintptr_t>(p)) - reinterpret_cast<std::uintptr_t>(p));
  madvise(base_, reserved, MADV_HUGEPAGE);  // slower without
  report_ = std::make_unique<FaultReport>(base_, reserved);
}

WalledMemory::~WalledMemory() { munmap(mapped_, reserved + huge_page); }

MemoryBlock WalledMemory::allocate(std::size_t bytes) {
  std::size_t offset = placement_.take(bytes);
  return {base_ + offset, offset};
}

bool WalledMemory::has(const void* address) const {
  auto at = reinterpret_cast<std::uintptr_t>(address), begin = reinterpret_cast<std::uintptr_t>(base_);
  return at >= begin && at < begin + reserved;
}

WalledMemory::Opening::Opening(WalledMemory& memory) : memory_(memory), size_(in_pages(memory.footprint())) {
  FaultReport::come_first();
  if (mprotect(memory_.base_, size_, PROT_READ | PROT_WRITE) != 0)
    throw IoError(std::string("walled memory: cannot open: ") + std::strerror(errno));
}

WalledMemory::Opening::~Opening() {
  if (mprotect(memory_.base_, size_, PROT_NONE) != 0) std::abort();
}

}  // namespace loragrad::test

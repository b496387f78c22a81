#include "ops/cpu/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <string>

#include "engine/error.h"

namespace loragrad::cpu {
namespace {
constexpr std::size_t alignment = 64;
std::size_t rounded(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }
}  // namespace

Arena::Arena() {
  // Address space costs nothing until it is touched, so the reservation may exceed what the machine has.
  std::size_t physical =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (reserved_ = 4 * physical; reserved_ >= (std::size_t{1} << 28); reserved_ /= 2) {
    void* p = mmap(nullptr, reserved_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED) {
      base_ = static_cast<std::byte*>(p);
      break;
    }
  }
  if (!base_) throw IoError(std::string("arena: cannot reserve memory: ") + std::strerror(errno));
}

Arena::~Arena() { munmap(base_, reserved_); }

void Arena::insert_free(std::size_t offset, std::size_t size) {
  free_by_offset_[offset] = size;
  free_by_size_.insert({size, offset});
}

void* Arena::allocate(std::size_t bytes) {
  std::size_t size = rounded(bytes ? bytes : 1);
  auto best = free_by_size_.lower_bound({size, 0});
  if (best != free_by_size_.end()) {
    auto [available, offset] = *best;
    free_by_size_.erase(best);
    free_by_offset_.erase(offset);
    if (available > size) insert_free(offset + size, available - size);
    return base_ + offset;
  }
  if (size > reserved_ - top_)
    throw IoError("memory: cannot allocate " + std::to_string(bytes) + " bytes: " + std::to_string(top_) + " of " +
                  std::to_string(reserved_) + " reserved bytes are in use");
  std::byte* p = base_ + top_;
  top_ += size;
  return p;
}

void Arena::release(void* pointer, std::size_t bytes) noexcept {
  std::size_t offset = static_cast<std::size_t>(static_cast<std::byte*>(pointer) - base_),
              size = rounded(bytes ? bytes : 1);
  auto next = free_by_offset_.lower_bound(offset);
  if (next != free_by_offset_.end() && next->first == offset + size) {
    size += next->second;
    free_by_size_.erase({next->second, next->first});
    next = free_by_offset_.erase(next);
  }
  if (next != free_by_offset_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == offset) {
      offset = previous->first;
      size += previous->second;
      free_by_size_.erase({previous->second, previous->first});
      free_by_offset_.erase(previous);
    }
  }
  // The last stretch shrinks the top again, so that a different next step can lay itself out anew.
  if (offset + size == top_)
    top_ = offset;
  else
    insert_free(offset, size);
}

}  // namespace loragrad::cpu

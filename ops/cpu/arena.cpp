#include "ops/cpu/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "engine/memory_limit.h"

namespace loragrad::cpu {
namespace {

constexpr std::size_t piece = std::size_t{16} << 20;  // that a stretch grows by
/// What is left of a limit to all that is not tensors: mapped files, generated code, stacks, buffers of libraries.
constexpr std::size_t left_to_others = std::size_t{32} << 20;

/// `where` null: anywhere; else there, or nowhere. Null where it is not to be had.
std::byte* mapped(std::byte* where, std::size_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (where ? MAP_FIXED_NOREPLACE : 0);
  void* p = ::mmap(where, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  if (!where || p == where) return static_cast<std::byte*>(p);
  ::munmap(p, bytes);  // a system of before MAP_FIXED_NOREPLACE
  return nullptr;
}

std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

Arena::Arena() {
  // Address space costs nothing until it is touched, so the stretch may exceed what the machine has.
  std::size_t stretch = 4 * static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * page_bytes();
  std::optional<MemoryLimit> limit = memory_limit();
  if (!limit) base_ = mapped(nullptr, stretch);
  if (base_) {
    mapped_ = stretch;
    placement_ = Placement(stretch);
    return;
  }
  if (limit) stretch = std::min(stretch, limit->bytes);
  if (!find_place(std::bit_ceil(std::max(stretch, piece)))) fail_for_room(page_bytes(), "tensors");
  placement_ = Placement(std::numeric_limits<std::size_t>::max());
}

Arena::~Arena() { ::munmap(base_, mapped_); }

/// The addresses below those that the system hands out now are free, and it goes down to them only when more than a
/// stretch is taken, which is no less than the limit. They are cut into cells of a stretch each, and an arena takes the
/// first cell whose first page is free: a page of its own is the sign for others.
bool Arena::find_place(std::size_t stretch) {
  std::byte* page = mapped(nullptr, page_bytes());
  if (!page) return false;
  auto cell = reinterpret_cast<std::uintptr_t>(page) / stretch;
  ::munmap(page, page_bytes());
  for (int tries = 0; tries < 64 && cell > 1; ++tries) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): nothing lies there yet that a pointer could lead to
    base_ = reinterpret_cast<std::byte*>(--cell * stretch);
    if (map(page_bytes())) return true;
  }
  return false;
}

bool Arena::map(std::size_t more) {
  if (!mapped(base_ + mapped_, more)) return false;
  mapped_ += more;
  return true;
}

void Arena::grow(std::size_t offset, std::size_t bytes) {
  std::size_t page = page_bytes(), least = (offset + bytes - mapped_ + page - 1) / page * page;
  for (std::size_t more : {std::max(least, piece), least})
    if (has_room(more + left_to_others) && map(more)) return;
  placement_.give_back(offset, bytes);
  fail_for_room(least + left_to_others, "tensors");
}

}  // namespace loragrad::cpu

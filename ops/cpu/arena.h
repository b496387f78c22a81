#pragma once
#include <cstddef>

#include "engine/device.h"
#include "engine/placement.h"

namespace loragrad::cpu {

/// One stretch of address space from which tensors are cut (engine/placement.h). The system's allocator gives large
/// buffers back and clears them again at every step; pages of the arena stay. The stretch is reserved whole, or grows
/// where that would take too much of a limit (engine/memory_limit.h). Not thread-safe: only the thread that runs ops
/// allocates.
class Arena {
 public:
  Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();
  /// OutOfMemory when the stretch, or the limit, is used up.
  MemoryBlock allocate(std::size_t bytes) {
    std::size_t offset = placement_.take(bytes);
    if (offset + bytes > mapped_) grow(offset, bytes);
    return {base_ + offset, offset};
  }
  void release(MemoryBlock block, std::size_t bytes) noexcept { placement_.give_back(block.offset, bytes); }
  const Placement& placement() const { return placement_; }

 private:
  bool map(std::size_t more);
  bool find_place(std::size_t stretch);
  void grow(std::size_t offset, std::size_t bytes);

  std::byte* base_ = nullptr;
  std::size_t mapped_ = 0;  ///< bytes from base_ on
  Placement placement_{0};
};

}  // namespace loragrad::cpu

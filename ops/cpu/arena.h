#pragma once
#include <cstddef>

#include "engine/device.h"
#include "engine/placement.h"

namespace loragrad::cpu {

/// One reserved stretch of address space from which tensors are cut (engine/placement.h). The system's allocator gives
/// large buffers back and clears them again at every step; pages of the arena stay. Not thread-safe: only the thread
/// that runs ops allocates.
class Arena {
 public:
  Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();
  /// IoError when the reservation is used up.
  MemoryBlock allocate(std::size_t bytes) {
    std::size_t offset = placement_.take(bytes);
    return {base_ + offset, offset};
  }
  void release(MemoryBlock block, std::size_t bytes) noexcept { placement_.give_back(block.offset, bytes); }
  const Placement& placement() const { return placement_; }

 private:
  std::byte* base_ = nullptr;
  std::size_t reserved_ = 0;
  Placement placement_{0};
};

}  // namespace loragrad::cpu

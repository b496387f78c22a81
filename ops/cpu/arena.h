#pragma once
#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace loragrad::cpu {

/// One reserved stretch of address space from which tensors are cut, best fit first, neighbours merged when freed. The
/// system's allocator gives large buffers back and clears them again at every step; pages of the arena stay. 64-byte
/// aligned. Not thread-safe: only the thread that runs ops allocates.
class Arena {
 public:
  Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();
  /// IoError when the reservation is used up.
  void* allocate(std::size_t bytes);
  void release(void* pointer, std::size_t bytes) noexcept;

 private:
  using Block = std::pair<std::size_t, std::size_t>;  // size, offset: ordered for best fit, lowest address first
  void insert_free(std::size_t offset, std::size_t size);

  std::byte* base_ = nullptr;
  std::size_t reserved_ = 0, top_ = 0;
  std::map<std::size_t, std::size_t> free_by_offset_;
  std::set<Block> free_by_size_;
};

}  // namespace loragrad::cpu

#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/matrix.h"

namespace loragrad {

/// Cuts scratch space into arrays that start at multiples of `alignment` bytes; with no memory it only counts.
template <std::size_t alignment>
class AlignedScratch {
 public:
  explicit AlignedScratch(void* memory) : memory_(static_cast<std::byte*>(memory)) {}
  template <class T>
  T* take(std::int64_t count) {
    return static_cast<T*>(cut(static_cast<std::size_t>(count) * sizeof(T)));
  }
  Matrix take(DType dtype, std::int64_t rows, std::int64_t cols) {
    return {cut(bytes_of(dtype, rows * cols)), dtype, rows, cols, cols};
  }
  std::size_t used() const { return used_; }
  /// The memory behind all that was taken.
  void* rest() const { return memory_ ? memory_ + used_ : nullptr; }
  /// Bytes up to where the next array begins.
  static constexpr std::size_t whole(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

 private:
  void* cut(std::size_t bytes) {
    void* at = rest();
    used_ += whole(bytes);
    return at;
  }
  std::byte* memory_;
  std::size_t used_ = 0;
};

}  // namespace loragrad

#pragma once
// Threads: as the device whose meter it is.
#include <cstddef>
#include <cstdint>

namespace loragrad {

/// Counts the bytes of a device's tensors and workspaces. Not thread-safe: only the thread that runs ops allocates.
class MemoryMeter {
 public:
  void add(std::size_t bytes) {
    live_ += bytes;
    ++allocations_;
    if (live_ > peak_) peak_ = live_;
    if (bytes > largest_) largest_ = bytes;
  }
  void remove(std::size_t bytes) { live_ -= bytes; }
  std::size_t live() const { return live_; }
  std::size_t peak() const { return peak_; }
  /// Largest single allocation since the last reset.
  std::size_t largest() const { return largest_; }
  std::uint64_t allocations() const { return allocations_; }
  /// Peak and largest start again from what is live now.
  void reset_peak() {
    peak_ = live_;
    largest_ = 0;
  }

 private:
  std::size_t live_ = 0, peak_ = 0, largest_ = 0;
  std::uint64_t allocations_ = 0;
};

}  // namespace loragrad

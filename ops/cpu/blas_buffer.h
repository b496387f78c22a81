#pragma once
#include <mutex>

#include "engine/memory_limit.h"

namespace loragrad::cpu {

/// For the length of a call of OpenBLAS. It maps a buffer for each of the calls that run side by side, keeps it, and where
/// it gets none asks again for ever. Under a limit of memory calls therefore wait for each other, and room for the one
/// buffer is seen to before the first.
class BlasBuffer {
 public:
  BlasBuffer() {
    static const bool limited = memory_limit().has_value();
    if (!limited) return;
    static std::mutex one_at_a_time;
    lock_ = std::unique_lock(one_at_a_time);
    static const bool is_there = (require_room(bytes, "the buffer of OpenBLAS"), true);
    static_cast<void>(is_there);
  }

 private:
  static constexpr std::size_t bytes = std::size_t{136} << 20;  // of Debian's builds: 128 MiB, or less
  std::unique_lock<std::mutex> lock_;
};

}  // namespace loragrad::cpu

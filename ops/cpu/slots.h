#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ops/cpu/processor.h"

namespace loragrad::cpu {

/// Threads that share out so many items, each with scratch space of its own.
inline std::int64_t slots(Device& device, std::int64_t items) {
  return std::min<std::int64_t>(threads_of(device).size(), items);
}

/// Runs work(i, scratch) for i < items; scratch, the thread's alone, is `slot_bytes` of the workspace. Threads take the
/// items in order as they become free: results may not depend on who takes which.
template <class Work>
void run_in_slots(Device& device, std::int64_t items, std::size_t slot_bytes, void* workspace, const Work& work) {
  std::atomic<std::int64_t> next{0};
  threads_of(device).parallel_for(slots(device, items), [&](std::int64_t slot) {
    void* own = static_cast<std::byte*>(workspace) + static_cast<std::size_t>(slot) * slot_bytes;
    for (std::int64_t i; (i = next.fetch_add(1)) < items;) work(i, own);
  });
}

}  // namespace loragrad::cpu

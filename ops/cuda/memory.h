#pragma once
#include <cuda_runtime.h>

#include <memory>

#include "engine/device.h"

namespace loragrad::cuda {

/// Where a GPU's blocks come from. Used in the order of one stream: what is given back may be taken again at once.
class Memory {
 public:
  virtual ~Memory() = default;
  /// OutOfMemory when it runs out.
  virtual MemoryBlock allocate(std::size_t bytes) = 0;
  virtual void release(MemoryBlock block, std::size_t bytes) noexcept = 0;
  /// How far blocks have reached.
  virtual std::size_t footprint() const = 0;
  /// The most that may be taken.
  virtual std::size_t limit() const = 0;
};

/// One reserved stretch of addresses (engine/placement.h), in which memory is mapped as far as blocks have reached: it
/// grows without moving anything, and pages stay. At most `limit` bytes.
std::unique_ptr<Memory> mapped_arena(int gpu, std::size_t limit);

/// An allocation of the driver's for each block, so that what looks for wrong accesses sees where blocks end.
std::unique_ptr<Memory> single_blocks(cudaStream_t stream);

}  // namespace loragrad::cuda

#include <algorithm>
#include <limits>

#include "engine/placement.h"
#include "ops/cuda/memory.h"
#include "ops/cuda/status.h"

namespace loragrad::cuda {
namespace {

class SingleBlocks final : public Memory {
 public:
  explicit SingleBlocks(cudaStream_t stream) : stream_(stream) {}
  MemoryBlock allocate(std::size_t bytes) override {
    MemoryBlock block{nullptr, placement_.take(bytes)};
    check(cudaMallocAsync(&block.data, std::max<std::size_t>(bytes, 1), stream_), "memory");
    return block;
  }
  void release(MemoryBlock block, std::size_t bytes) noexcept override {
    cudaFreeAsync(block.data, stream_);
    placement_.give_back(block.offset, bytes);
  }
  std::size_t footprint() const override { return placement_.highest(); }
  std::size_t limit() const override { return std::numeric_limits<std::size_t>::max(); }

 private:
  cudaStream_t stream_;
  // Where an arena would have them, so that the device reaches as far as one.
  Placement placement_{std::numeric_limits<std::size_t>::max()};
};

}  // namespace

std::unique_ptr<Memory> single_blocks(cudaStream_t stream) { return std::make_unique<SingleBlocks>(stream); }

}  // namespace loragrad::cuda

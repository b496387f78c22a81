#pragma once
#include <vector>

#include "ops/cuda/launch.h"
#include "ops/cuda/upload_ring.h"

/// Lists of tensors that one launch goes through: a block has one tile of so many elements, in row-major order, of one
/// of the tensors. An Entry has what the kernel needs of a tensor, and `first_tile`, the number of tiles before it.
namespace loragrad::cuda {

/// The entry that a tile belongs to. Entries without elements have no tiles.
template <class Entry>
__device__ inline const Entry& entry_of(const Entry* entries, int count, std::int64_t tile) {
  int first = 0, last = count - 1;
  while (first < last) {
    int middle = (first + last + 1) / 2;
    if (entries[middle].first_tile <= tile)
      first = middle;
    else
      last = middle - 1;
  }
  return entries[first];
}

/// Copies a list to the device's memory, in the order of its stream.
template <class Entry>
void upload_list(Device& device, Entry* to, const std::vector<Entry>& from) {
  constexpr std::size_t most = UploadRing::largest / sizeof(Entry);
  for (std::size_t begin = 0; begin < from.size(); begin += most)
    gpu_of(device).upload_small(to + begin, from.data() + begin, std::min(most, from.size() - begin) * sizeof(Entry));
}

}  // namespace loragrad::cuda

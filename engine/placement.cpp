#include "engine/placement.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "engine/error.h"

namespace loragrad {
namespace {
constexpr std::size_t alignment = 64;
std::size_t rounded(std::size_t bytes) {
  return (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
}
}  // namespace

void Placement::insert(std::size_t offset, std::size_t size) {
  gaps_by_offset_[offset] = size;
  gaps_by_size_.insert({size, offset});
}

std::size_t Placement::take(std::size_t bytes) {
  std::size_t size = rounded(bytes);
  auto best = gaps_by_size_.lower_bound({size, 0});
  if (best != gaps_by_size_.end()) {
    auto [available, offset] = *best;
    gaps_by_size_.erase(best);
    gaps_by_offset_.erase(offset);
    if (available > size) insert(offset + size, available - size);
    return offset;
  }
  if (size > limit_ - end_)
    throw IoError("memory: cannot allocate " + std::to_string(bytes) + " bytes: " + std::to_string(end_) + " of " +
                  std::to_string(limit_) + " reserved bytes are in use");
  std::size_t offset = end_;
  end_ += size;
  highest_ = std::max(highest_, end_);
  return offset;
}

void Placement::give_back(std::size_t offset, std::size_t bytes) noexcept {
  std::size_t size = rounded(bytes);
  auto next = gaps_by_offset_.lower_bound(offset);
  if (next != gaps_by_offset_.end() && next->first == offset + size) {
    size += next->second;
    gaps_by_size_.erase({next->second, next->first});
    next = gaps_by_offset_.erase(next);
  }
  if (next != gaps_by_offset_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == offset) {
      offset = previous->first;
      size += previous->second;
      gaps_by_size_.erase({previous->second, previous->first});
      gaps_by_offset_.erase(previous);
    }
  }
  // The last stretch shrinks the end again, so that a different next step can lay itself out anew.
  if (offset + size == end_)
    end_ = offset;
  else
    insert(offset, size);
}

}  // namespace loragrad

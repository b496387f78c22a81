#pragma once
#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace loragrad {

/// Where blocks of memory lie in one stretch of addresses, as offsets: the best fitting gap first (the lowest of equal
/// ones), neighbouring gaps merged, and what is freed at the end lowers the end again. Blocks are multiples of 64
/// bytes. Nothing but bookkeeping: a device that has no memory places its blocks like one that has.
class Placement {
 public:
  /// `limit`: the length of the stretch.
  explicit Placement(std::size_t limit) : limit_(limit) {}
  /// The offset of a new block; IoError when no gap fits and the end is too near.
  std::size_t take(std::size_t bytes);
  /// Frees the block that take(bytes) placed at `offset`.
  void give_back(std::size_t offset, std::size_t bytes) noexcept;
  /// The farthest that a block has ever reached.
  std::size_t highest() const { return highest_; }

 private:
  using Gap = std::pair<std::size_t, std::size_t>;  // size, offset: ordered for best fit, lowest offset first
  void insert(std::size_t offset, std::size_t size);

  std::size_t limit_, end_ = 0, highest_ = 0;
  std::map<std::size_t, std::size_t> gaps_by_offset_;
  std::set<Gap> gaps_by_size_;
};

}  // namespace loragrad

#pragma once
// Threads: a stream belongs to one at a time.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace loragrad {

/// A permutation of 0 .. n_rows-1 that depends on (n_rows, seed, epoch) alone: the same on every platform.
/// Fisher-Yates (Knuth, TAOCP 3.4.2 P), its choices from a counter-based generator (engine/random.h).
std::vector<std::size_t> epoch_order(std::size_t n_rows, std::uint64_t seed, std::uint64_t epoch);

/// The order in which rows are trained on: epoch after epoch without end, in file order or a new permutation each
/// epoch. Its state is one number, so that a resumed run goes on where it was.
class RowStream {
 public:
  /// `end`: the stream stops after that many rows (epochs x n_rows); without it, never. UsageError for no rows.
  RowStream(std::size_t n_rows, bool shuffle, std::uint64_t seed, std::optional<std::uint64_t> end = std::nullopt);

  /// The next `count` rows, across the end of an epoch too; fewer, or none, only where the stream stops.
  std::vector<std::size_t> next(std::size_t count);
  /// Rows taken so far.
  std::uint64_t position() const { return position_; }
  /// Goes on from there. UsageError behind the end.
  void seek(std::uint64_t position);
  /// The epoch, from 0, of the row that comes next.
  std::uint64_t epoch() const { return position_ / n_rows_; }

 private:
  std::size_t n_rows_;
  bool shuffle_;
  std::uint64_t seed_;
  std::optional<std::uint64_t> end_;
  std::uint64_t position_ = 0;
  std::optional<std::uint64_t> order_epoch_;  // whose permutation order_ is
  std::vector<std::size_t> order_;
};

}  // namespace loragrad

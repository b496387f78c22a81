#include "data/row_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/error.h"
#include "engine/random.h"

namespace loragrad {
std::vector<std::size_t> epoch_order(std::size_t n_rows, std::uint64_t seed, std::uint64_t epoch) {
  std::vector<std::size_t> order(n_rows);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(seed, mix(n_rows, epoch));
  for (std::size_t left = n_rows; left > 1; --left) std::swap(order[left - 1], order[random.below(left)]);
  return order;
}

RowStream::RowStream(std::size_t n_rows, bool shuffle, std::uint64_t seed, std::optional<std::uint64_t> end)
    : n_rows_(n_rows), shuffle_(shuffle), seed_(seed), end_(end) {
  if (n_rows == 0) throw UsageError("row stream: expected at least one row, found none");
}

std::vector<std::size_t> RowStream::next(std::size_t count) {
  if (end_) count = static_cast<std::size_t>(std::min<std::uint64_t>(count, *end_ - position_));
  std::vector<std::size_t> rows;
  rows.reserve(count);
  for (; rows.size() < count; ++position_) {
    std::size_t place = static_cast<std::size_t>(position_ % n_rows_);
    if (shuffle_ && order_epoch_ != epoch()) {
      order_ = epoch_order(n_rows_, seed_, epoch());
      order_epoch_ = epoch();
    }
    rows.push_back(shuffle_ ? order_[place] : place);
  }
  return rows;
}

void RowStream::seek(std::uint64_t position) {
  if (end_ && position > *end_)
    throw UsageError(fmt::format("row stream: expected a position up to {}, found {}", *end_, position));
  position_ = position;
}

}  // namespace loragrad

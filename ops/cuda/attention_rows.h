#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>

#include "engine/kernels.h"
#include "ops/cuda/reduce.h"

/// Attention's geometry, the same for the host and for kernels: who sees whom, and which block works on what.
namespace loragrad::cuda {

/// From begin up to, and without, end.
struct alignas(8) Range {
  int begin, end;
  constexpr int size() const { return end > begin ? end - begin : 0; }
};

/// A row of so few queries, as in decoding, is cut by its keys: chunks of these many, the same for every batch.
constexpr int few_queries = 8, chunk_keys = 128;
constexpr bool is_few(const RowSpan& row) { return row.queries <= few_queries; }

/// What kernels know of a call. The heads that read one key/value head are a group, and a query row is a pair (token,
/// head of the group), in the order of tokens: number token * group + head.
struct AttentionShape {
  explicit AttentionShape(const AttentionArgs& args)
      : spans(args.device_rows),
        rows(static_cast<int>(args.rows.size())),
        kv_heads(static_cast<int>(args.n_kv_head)),
        group(static_cast<int>(args.n_head / args.n_kv_head)),
        head_dim(static_cast<int>(args.head_dim)),
        window(static_cast<int>(std::min<std::int64_t>(args.window, std::numeric_limits<int>::max()))) {}

  const RowSpan* spans;
  int rows, kv_heads, group, head_dim, window;

  constexpr int heads() const { return kv_heads * group; }
  constexpr const RowSpan& row(int i) const { return spans[i]; }

  /// The keys that a token sees, and the tokens that see a key: neither end falls from one to the next.
  constexpr Range keys_seen(const RowSpan& row, int token) const {
    int end = row.keys - row.queries + token + 1;
    return {window > 0 && end > window ? end - window : 0, end};
  }
  constexpr Range tokens_seeing(const RowSpan& row, int key) const {
    int first = key - (row.keys - row.queries);
    int end = window > 0 && window < row.queries - first ? first + window : row.queries;
    return {first > 0 ? first : 0, end};
  }
  /// The chunks in which the queries of a row see keys.
  constexpr Range chunks_seen(const RowSpan& row) const {
    return {keys_seen(row, 0).begin / chunk_keys, (row.keys + chunk_keys - 1) / chunk_keys};
  }
};

/// Rows are cut into tiles of `size` items each, a row's last one shorter. A tile has a place from which a block finds it:
/// row i's places begin at before_i / size + i, where before_i counts the items of the rows before it, so there are
/// enough of them whatever the rows' lengths, and at most one to spare for each row.
template <int size>
constexpr std::int64_t first_place(std::int64_t before, int row) {
  return before / size + row;
}
struct Place {
  int row, tile;
};
/// `before(row)`: the items of the rows before it. The warp's lanes look at rows together: two steps for 1024 of them.
template <int size, class Before>
__device__ inline Place find_place(int rows, std::int64_t place, const Before& before) {
  auto begin = [&](int row) { return first_place<size>(before(row), row); };
  int lane = static_cast<int>(threadIdx.x) % warp_size;
  int row = 0, count = rows;  // it is one of `count` rows from `row` on
  while (count > 1) {
    int step = (count + warp_size - 1) / warp_size, end = row + count, next = row + (lane + 1) * step;
    row += __popc(__ballot_sync(all_lanes, next < end && begin(next) <= place)) * step;
    count = min(step, end - row);
  }
  return {row, static_cast<int>(place - begin(row))};
}
/// Tiles of query rows, and of keys.
template <int size>
__device__ inline Place find_query_rows(const AttentionShape& shape, std::int64_t place) {
  return find_place<size>(shape.rows, place,
                          [&](int row) { return std::int64_t{shape.spans[row].query} * shape.group; });
}
template <int size>
__device__ inline Place find_keys(const AttentionShape& shape, std::int64_t place) {
  return find_place<size>(shape.rows, place, [&](int row) { return std::int64_t{shape.spans[row].keys_before}; });
}

/// Queries and keys of all rows together.
struct AttentionTotals {
  explicit AttentionTotals(const AttentionArgs& args) {
    if (args.rows.empty()) return;
    const RowSpan& last = args.rows.back();
    tokens = std::int64_t{last.query} + last.queries;
    keys = std::int64_t{last.keys_before} + last.keys;
  }
  std::int64_t tokens = 0, keys = 0;
};

}  // namespace loragrad::cuda

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

/// One row of the batch: where its queries and keys begin among all tokens, and how many they are.
struct AttentionRow {
  int query, key, queries, keys;
};

/// A row of so few queries, as in decoding, is cut by its keys: chunks of these many, the same for every batch.
constexpr int few_queries = 8, chunk_keys = 128;
constexpr bool is_few(const AttentionRow& row) { return row.queries <= few_queries; }

/// What kernels know of a call. The heads that read one key/value head are a group, and a query row is a pair (token,
/// head of the group), in the order of tokens: number token * group + head.
struct AttentionShape {
  explicit AttentionShape(const AttentionArgs& args)
      : offsets(args.device_offsets),
        rows(static_cast<int>(args.rows)),
        kv_heads(static_cast<int>(args.n_kv_head)),
        group(static_cast<int>(args.n_head / args.n_kv_head)),
        head_dim(static_cast<int>(args.head_dim)),
        window(static_cast<int>(std::min<std::int64_t>(args.window, std::numeric_limits<int>::max()))) {}

  const std::int32_t* offsets;  // [2, rows + 1]: queries', keys'
  int rows, kv_heads, group, head_dim, window;

  constexpr int heads() const { return kv_heads * group; }
  constexpr const std::int32_t* key_offsets() const { return offsets + rows + 1; }
  constexpr AttentionRow row(int i) const {
    const std::int32_t *query = offsets + i, *key = key_offsets() + i;
    return {query[0], key[0], query[1] - query[0], key[1] - key[0]};
  }

  /// The keys that a token sees, and the tokens that see a key: neither end falls from one to the next.
  constexpr Range keys_seen(const AttentionRow& row, int token) const {
    int end = row.keys - row.queries + token + 1;
    return {window > 0 && end > window ? end - window : 0, end};
  }
  constexpr Range tokens_seeing(const AttentionRow& row, int key) const {
    int first = key - (row.keys - row.queries);
    int end = window > 0 && window < row.queries - first ? first + window : row.queries;
    return {first > 0 ? first : 0, end};
  }
  /// The chunks in which the queries of a row see keys.
  constexpr Range chunks_seen(const AttentionRow& row) const {
    return {keys_seen(row, 0).begin / chunk_keys, (row.keys + chunk_keys - 1) / chunk_keys};
  }
};

/// Rows are cut into tiles of `size` items each, a row's last one shorter. A tile has a place from which a block finds it:
/// row i's places begin at offset_i / size + i, where offset_i counts the items of the rows before it, so there are
/// enough of them whatever the rows' lengths, and at most one to spare for each row.
template <int size>
constexpr std::int64_t first_place(std::int64_t offset, int row) {
  return offset / size + row;
}
struct Place {
  int row, tile;
};
/// `items`: a row's items for each of its tokens. The warp's lanes look at rows together: two steps for 1024 of them.
template <int size>
__device__ inline Place find_place(const std::int32_t* offsets, int rows, int items, std::int64_t place) {
  auto begin = [&](int row) { return first_place<size>(std::int64_t{offsets[row]} * items, row); };
  int lane = static_cast<int>(threadIdx.x) % warp_size;
  int row = 0, count = rows;  // it is one of `count` rows from `row` on
  while (count > 1) {
    int step = (count + warp_size - 1) / warp_size, end = row + count, next = row + (lane + 1) * step;
    row += __popc(__ballot_sync(all_lanes, next < end && begin(next) <= place)) * step;
    count = min(step, end - row);
  }
  return {row, static_cast<int>(place - begin(row))};
}

}  // namespace loragrad::cuda

#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "ops/cpu/attention_products.h"
#include "ops/cpu/scratch.h"
#include "ops/cpu/slots.h"

/// What attention's forward and backward share: how the work is cut, and the products of a strip of queries with a tile
/// of keys.
namespace loragrad::cpu {

constexpr int key_tile = 256;    ///< keys whose scores are held at a time
constexpr int strip_rows = 48;   ///< query rows whose scores are held at a time: the strip stays in the L2 cache
constexpr int block_rows = 256;  ///< query rows that share one packing of the keys

/// Which keys of a tile each query row of a strip sees: [low, high), both not decreasing from row to row.
struct Strip {
  int rows = 0, keys = 0;
  std::array<int, strip_rows> low, high;
  bool empty() const { return high[rows - 1] == 0 || low[0] == keys; }
};

/// Where row r of a strip sees keys, whole panels: the part of its scores that is computed. exp runs over whole vectors
/// there, the masked ones are set to zero by `mask` afterwards.
template <class T>
struct Visible {
  Visible(const Strip& strip, int r) : low(strip.low[r]), high(strip.high[r]), keys(padded<T>(strip.keys)) {
    begin = low / panel_width<T> * panel_width<T>;
    end = std::max<int>(begin, padded<T>(high));
  }
  void mask(T* row) const {
    std::fill(row, row + low, T(0));
    std::fill(row + std::max(low, high), row + keys, T(0));
  }
  int low, high, keys, begin, end;
  int count() const { return end - begin; }
};

/// s [strip rows, key_tile] = a keysᵀ where a row sees a key (whole panels of keys). a [strip rows, units of dim],
/// `a_step` apart.
template <class U>
void strip_scores(const Strip& strip, const U* a, std::int64_t a_step, std::int64_t dim, const U* keys, SumOf<U>* s) {
  int begin = 0, end = 0;
  for (int key = 0; key < strip.high[strip.rows - 1]; key += panel_width<U>, keys += panel_width<U> * units<U>(dim)) {
    while (begin < strip.rows && strip.high[begin] <= key) ++begin;
    while (end < strip.rows && strip.low[end] < key + panel_width<U>) ++end;
    for (int r = begin; r < end; r += micro_rows)
      micro_products<U>[std::min(micro_rows, end - r)](units<U>(dim), a + r * a_step, a_step, 1, keys, panel_width<U>,
                                                       s + r * key_tile + key, key_tile, false);
  }
}

/// The columns of a strip's scores that a row sees, whole panels.
template <class T>
std::pair<int, int> seen(const Strip& strip) {
  return {strip.low[0] / panel_width<T> * panel_width<T>, static_cast<int>(padded<T>(strip.high[strip.rows - 1]))};
}

/// p [strip rows, key_tile] in units of keys; `memory` has as many as are kept apart from p.
template <class U>
const U* units_of_keys(const Strip& strip, const SumOf<U>* p, U* memory) {
  if constexpr (terms<U> == 1) {
    return p;
  } else {
    auto [begin, end] = seen<U>(strip);
    for (int r = 0; r < strip.rows; ++r)
      for (int key = begin; key < end; key += panel_width<U>)
        store_pairs_along(p + r * key_tile + key, memory + r * (key_tile / 2) + key / 2);
    return memory;
  }
}
/// p [strip rows, key_tile] in units of rows.
template <class U>
const U* units_of_rows(const Strip& strip, const SumOf<U>* p, U* memory) {
  if constexpr (terms<U> == 1) {
    return p;
  } else {
    auto [begin, end] = seen<U>(strip);
    for (int r = 0; r < strip.rows; r += 2)
      for (int key = begin; key < end; key += Simd<U>::width) {
        const float* at = p + r * key_tile + key;
        store_pairs_across(at, r + 1 < strip.rows ? at + key_tile : nullptr, memory + r / 2 * key_tile + key);
      }
    return memory;
  }
}

/// out [strip rows, dim] += p values; p, in units of keys, is zero where a row does not see a key. values: panels of
/// features, key_tile apart.
template <class U>
void strip_gather(const Strip& strip, const U* p, const U* values, std::int64_t dim, SumOf<U>* out,
                  std::int64_t out_step) {
  constexpr int width = key_tile / terms<U>;
  for (std::int64_t d = 0; d < dim; d += panel_width<U>)
    for (int r = 0; r < strip.rows; r += micro_rows) {
      int count = std::min(micro_rows, strip.rows - r), low = strip.low[r] / terms<U>;
      std::int64_t high = units<U>(strip.high[r + count - 1]);
      micro_products<U>[count](std::max<std::int64_t>(0, high - low), p + r * width + low, width, 1,
                               values + d * width + low * panel_width<U>, panel_width<U>, out + r * out_step + d,
                               out_step, true);
    }
}

/// out [keys, dim] += pᵀ x;  p and x [strip rows, padded dim] in units of rows, x's `x_step` apart.
template <class U>
void strip_scatter(const Strip& strip, const U* p, const U* x, std::int64_t x_step, std::int64_t dim, SumOf<U>* out,
                   std::int64_t out_step) {
  for (std::int64_t d = 0; d < dim; d += panel_width<U>) {
    int begin = 0, end = 0, last = strip.high[strip.rows - 1];
    for (int key = std::max(0, strip.low[0]); key < last; key += micro_rows) {
      int count = std::min(micro_rows, last - key);
      while (begin < strip.rows && strip.high[begin] <= key) ++begin;
      while (end < strip.rows && strip.low[end] < key + count) ++end;
      if (begin >= end) continue;
      int first = begin / terms<U>;
      micro_products<U>[count](units<U>(end) - first, p + first * key_tile + key, 1, key_tile, x + first * x_step + d,
                               x_step, out + key * out_step + d, out_step, true);
    }
  }
}

/// One row of the batch: its queries and keys, and who sees whom. A query row is a (token, head of the group) pair.
struct AttentionRow {
  AttentionRow(const AttentionArgs& args, const RowSpan& row)
      : query(row.query),
        key(row.key),
        queries(row.queries),
        keys(row.keys),
        group(args.n_head / args.n_kv_head),
        window(args.window) {}
  std::int64_t query, key, queries, keys, group, window;

  std::int64_t end_key(std::int64_t token) const { return keys - queries + token + 1; }
  std::int64_t first_key(std::int64_t token) const {
    return window > 0 ? std::max<std::int64_t>(0, end_key(token) - window) : 0;
  }
  /// The strip of query rows from `first`, at most up to `last`, against the keys [tile, tile + width).
  Strip strip(std::int64_t first, std::int64_t last, std::int64_t tile, std::int64_t width) const {
    Strip strip;
    strip.keys = static_cast<int>(width);
    strip.rows = static_cast<int>(std::min<std::int64_t>(strip_rows, last - first));
    for (int r = 0; r < strip.rows; ++r) {
      std::int64_t token = (first + r) / group;
      strip.low[r] = static_cast<int>(std::clamp<std::int64_t>(first_key(token) - tile, 0, width));
      strip.high[r] = static_cast<int>(std::clamp<std::int64_t>(end_key(token) - tile, 0, width));
    }
    return strip;
  }
};

/// What becomes of a score before the mask: scale s, or, capped, cap tanh(scale s / cap).
template <class T>
struct ScoreScale {
  explicit ScoreScale(const AttentionArgs& args)
      : capped(args.soft_cap > 0),
        inner(static_cast<T>(capped ? args.scale / args.soft_cap : args.scale)),
        cap(static_cast<T>(args.soft_cap)) {}
  bool capped;
  T inner, cap;
};

/// The tokens whose query rows fill one block.
inline std::int64_t block_tokens(const AttentionArgs& args) {
  return std::max<std::int64_t>(1, block_rows / (args.n_head / args.n_kv_head));
}

/// Calls f with a value of the activations' type.
template <class F>
auto with_type(DType dtype, F f) {
  if (dtype == DType::f64) return f(double{});
  if (dtype == DType::f32) return f(float{});
  return f(bf16{});
}

/// Runs work(item, scratch) for every item, the largest first. An item's outputs are its own and its sums have a fixed
/// order, so it does not matter which slot takes it.
template <class Item, class Work>
void run_items(Device& device, std::vector<Item>& items, std::size_t slot_bytes, void* workspace, const Work& work) {
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.cost > b.cost; });
  run_in_slots(
      device, static_cast<std::int64_t>(items.size()), slot_bytes, workspace,
      [&](std::int64_t i, void* scratch) { work(items[static_cast<std::size_t>(i)], static_cast<char*>(scratch)); });
}

}  // namespace loragrad::cpu

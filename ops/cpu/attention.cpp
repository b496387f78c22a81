#include "ops/cpu/attention_tiles.h"

#include <cmath>
#include <limits>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

constexpr std::int64_t few_rows = 8;  // up to here packing the keys costs more than it saves

/// A block of query rows of one key/value head.
struct Item {
  const RowSpan* span;
  std::int64_t head, first, last;  // tokens of the row
  double cost;
};

std::vector<Item> cut(const AttentionArgs& args) {
  std::vector<Item> items;
  for (const RowSpan& span : args.rows) {
    AttentionRow row(args, span);
    for (std::int64_t first = 0; first < row.queries; first += block_tokens(args)) {
      std::int64_t last = std::min(row.queries, first + block_tokens(args));
      double cost =
          static_cast<double>(last - first) * static_cast<double>(row.end_key(last - 1) - row.first_key(first));
      for (std::int64_t head = 0; head < args.n_kv_head; ++head) items.push_back({&span, head, first, last, cost});
    }
  }
  return items;
}

template <class X>
struct Slot {
  using T = AttentionSum<X>;
  using U = AttentionUnit<X>;
  Slot(const AttentionArgs& args, Scratch& scratch) {
    std::int64_t rows = block_tokens(args) * (args.n_head / args.n_kv_head), dim = args.head_dim;
    q = scratch.take<U>(rows * units<U>(dim));
    out = scratch.take<T>(rows * padded<T>(dim));
    high = scratch.take<T>(rows);
    sum = scratch.take<T>(rows);
    keys = scratch.take<U>(key_tile * units<U>(dim));
    values = scratch.take<U>(key_tile / terms<U> * padded<U>(dim));
    scores = scratch.take<T>(strip_rows * key_tile);
    p = scratch.take<U>(terms<U> == 1 ? 0 : strip_rows * key_tile / terms<U>);
    few_q = scratch.take<T>(few_rows * dim);
    few_keys = scratch.take<T>(std::is_same_v<X, T> ? 0 : key_tile * dim);
    few_values = scratch.take<T>(std::is_same_v<X, T> ? 0 : key_tile * dim);
  }
  T *out, *high, *sum, *scores, *few_q, *few_keys, *few_values;
  U *q, *keys, *values, *p;
};

template <class T>
using Aligned = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>, EIGEN_MAX_ALIGN_BYTES>;

/// One query row against a tile of keys: the highest score so far, the sum of exponentials and `out` move with it; the
/// row's scores, of which `scale` is still to come, become p = exp(score - highest).
template <class T>
void online_softmax(const Visible<T>& visible, const ScoreScale<T>& scale, T* scores, T& high, T& sum, T* out,
                    std::int64_t dim) {
  if (visible.low < visible.high) {
    Aligned<T> all(scores + visible.begin, visible.count());
    all *= scale.inner;
    if (scale.capped) all = all.tanh() * scale.cap;
    T highest = std::max(high, ConstMap<T>(scores + visible.low, visible.high - visible.low).maxCoeff());
    if (highest > high) {
      T shrink = std::exp(high - highest);
      Map<T>(out, dim) *= shrink;
      sum *= shrink;
      high = highest;
    }
    Aligned<T> p(scores + visible.begin, visible.count());
    p = (p - high).exp();
  }
  visible.mask(scores);
  if (visible.low < visible.high) sum += Aligned<T>(scores + visible.begin, visible.count()).sum();
}

/// Keys and values as they lie, or converted; for a few query rows the products are matrix times vector.
template <class X>
void few_queries(const AttentionRow& row, const Item& item, const AttentionArgs& args, const X* k, const X* v,
                 Slot<X>& slot, std::int64_t tile, std::int64_t width) {
  using T = AttentionSum<X>;
  std::int64_t dim = args.head_dim, rows = (item.last - item.first) * row.group;
  using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  auto matrix = [&](const X* x, std::int64_t stride, T* copy) {
    if constexpr (std::is_same_v<X, T>) {
      return Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>(x, width, dim, Eigen::OuterStride<>(stride));
    } else {
      for (std::int64_t r = 0; r < width; ++r)
        for (std::int64_t d = 0; d < dim; ++d) copy[r * dim + d] = static_cast<T>(x[r * stride + d]);
      return Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>(copy, width, dim, Eigen::OuterStride<>(dim));
    }
  };
  auto keys = matrix(k, args.k.stride, slot.few_keys);
  auto values = matrix(v, args.v.stride, slot.few_values);
  using Column = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, 1>>;
  Strip strip = row.strip(item.first * row.group, item.last * row.group, tile, width);
  for (int r = 0; r < rows; ++r) {
    T* out = slot.out + r * padded<T>(dim);
    Column(slot.scores, width).noalias() = keys * Column(slot.few_q + r * dim, dim);
    std::fill(slot.scores + width, slot.scores + padded<T>(width), T(0));
    online_softmax(Visible<T>(strip, r), ScoreScale<T>(args), slot.scores, slot.high[r], slot.sum[r], out, dim);
    Column(out, dim).noalias() += values.transpose() * Column(slot.scores, width);
  }
}

/// The same for a block of query rows, through packed keys and values.
template <class X>
void many_queries(const AttentionRow& row, const Item& item, const AttentionArgs& args, const X* k, const X* v,
                  Slot<X>& slot, std::int64_t tile, std::int64_t width) {
  using T = AttentionSum<X>;
  using U = AttentionUnit<X>;
  std::int64_t dim = args.head_dim, first = item.first * row.group, last = item.last * row.group, step = padded<T>(dim);
  pack_transposed(k, args.k.stride, width, dim, slot.keys);
  pack_panels(v, args.v.stride, width, dim, slot.values, key_tile / terms<U>);
  for (std::int64_t begin = first; begin < last; begin += strip_rows) {
    Strip strip = row.strip(begin, last, tile, width);
    if (strip.empty()) continue;
    std::int64_t at = begin - first;
    strip_scores(strip, slot.q + at * units<U>(dim), units<U>(dim), dim, slot.keys, slot.scores);
    for (int r = 0; r < strip.rows; ++r)
      online_softmax(Visible<T>(strip, r), ScoreScale<T>(args), slot.scores + r * key_tile, slot.high[at + r],
                     slot.sum[at + r], slot.out + (at + r) * step, dim);
    strip_gather(strip, units_of_keys(strip, slot.scores, slot.p), slot.values, dim, slot.out + at * step, step);
  }
}

template <class X>
std::size_t slot_bytes(const AttentionArgs& args) {
  Scratch count(nullptr);
  Slot<X>(args, count);
  return count.used();
}

template <class X>
void run(Device& device, const AttentionArgs& args, void* workspace) {
  using T = AttentionSum<X>;
  using U = AttentionUnit<X>;
  std::vector<Item> items = cut(args);
  run_items(device, items, slot_bytes<X>(args), workspace, [&](const Item& item, char* memory) {
    Scratch scratch(memory);
    Slot<X> slot(args, scratch);
    AttentionRow row(args, *item.span);
    std::int64_t dim = args.head_dim, step = padded<T>(dim), rows = (item.last - item.first) * row.group;
    auto at = [&](std::int64_t r) {  // the token and column of a query row
      return std::pair(row.query + item.first + r / row.group, (item.head * row.group + r % row.group) * dim);
    };
    for (std::int64_t r = 0; r < rows; ++r) {
      auto [token, column] = at(r);
      auto* q = reinterpret_cast<const X*>(address(args.q, token, column));
      if (rows <= few_rows)
        units_along(q, dim, dim, slot.few_q + r * dim);
      else
        units_along(q, dim, units<U>(dim), slot.q + r * units<U>(dim));
    }
    std::fill(slot.out, slot.out + rows * step, T(0));
    std::fill(slot.high, slot.high + rows, -std::numeric_limits<T>::infinity());
    std::fill(slot.sum, slot.sum + rows, T(0));

    std::int64_t last_key = row.end_key(item.last - 1);
    for (std::int64_t tile = row.first_key(item.first); tile < last_key; tile += key_tile) {
      std::int64_t width = std::min<std::int64_t>(key_tile, last_key - tile);
      auto* k = reinterpret_cast<const X*>(address(args.k, row.key + tile, item.head * dim));
      auto* v = reinterpret_cast<const X*>(address(args.v, row.key + tile, item.head * dim));
      if (rows <= few_rows)
        few_queries(row, item, args, k, v, slot, tile, width);
      else
        many_queries(row, item, args, k, v, slot, tile, width);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      auto [token, column] = at(r);
      Map<T>(slot.out + r * step, dim) /= slot.sum[r];
      store(slot.out + r * step, 0.0, args.out, token, column, dim);
      if (args.logsumexp)
        static_cast<T*>(args.logsumexp)[token * args.n_head + column / dim] = slot.high[r] + std::log(slot.sum[r]);
    }
  });
}

}  // namespace

std::size_t scratch_bytes(Device& device, const AttentionArgs& args) {
  return with_type(args.q.dtype, [&](auto x) { return slot_bytes<decltype(x)>(args); }) *
         static_cast<std::size_t>(threads_of(device).size());
}

void attention(Device& device, const AttentionArgs& args, void* workspace) {
  with_type(args.q.dtype, [&](auto x) { run<decltype(x)>(device, args, workspace); });
}

}  // namespace loragrad::cpu

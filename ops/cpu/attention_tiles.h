#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/device.h"
#include "ops/cpu/simd.h"

/// What attention's forward and backward share: how the work is cut, how tiles are packed, how they are multiplied.
namespace loragrad::cpu {

/// Sums and softmax are f32 for f32 and bf16, f64 for f64.
template <class X>
using AttentionSum = std::conditional_t<std::is_same_v<X, double>, double, float>;

constexpr int key_tile = 256;    ///< keys whose scores are held at a time
constexpr int strip_rows = 48;   ///< query rows whose scores are held at a time: the strip stays in the L2 cache
constexpr int block_rows = 256;  ///< query rows that share one packing of the keys

/// Right operands lie in panels of this many columns.
template <class T>
constexpr int panel = 2 * Simd<T>::width;
template <class T>
constexpr std::int64_t padded(std::int64_t n) {
  return (n + panel<T> - 1) / panel<T> * panel<T>;
}

// 6 x 2 accumulators, 2 of b, 1 of a: the 16 registers of AVX2; AVX-512 has 32.
constexpr int micro_rows = simd_bytes < 64 ? 6 : 12;

/// c [M, panel] (+)= a [M, k] b [k, panel]; a(i, p) is a[i row_step + p step].
template <class T, int M>
void micro_product(std::int64_t k, const T* a, std::int64_t row_step, std::int64_t step, const T* b,
                   std::int64_t b_step, T* c, std::int64_t c_step, bool add) {
  using S = Simd<T>;
  typename S::type sum[M][2];
  for (int i = 0; i < M; ++i) sum[i][0] = sum[i][1] = typename S::type{};
  for (std::int64_t p = 0; p < k; ++p, a += step, b += b_step) {
    typename S::type b0 = S::load(b), b1 = S::load(b + S::width);
    for (int i = 0; i < M; ++i) {
      T x = a[i * row_step];
      sum[i][0] += x * b0;
      sum[i][1] += x * b1;
    }
  }
  for (int i = 0; i < M; ++i, c += c_step) {
    S::store(c, add ? S::load(c) + sum[i][0] : sum[i][0]);
    S::store(c + S::width, add ? S::load(c + S::width) + sum[i][1] : sum[i][1]);
  }
}

template <class T>
using MicroProduct = void (*)(std::int64_t, const T*, std::int64_t, std::int64_t, const T*, std::int64_t, T*,
                              std::int64_t, bool);
/// For 0 to micro_rows rows.
template <class T>
constexpr auto micro_products = []<std::size_t... M>(std::index_sequence<M...>) {
  return std::array<MicroProduct<T>, micro_rows + 1>{nullptr, micro_product<T, M + 1>...};
}(std::make_index_sequence<micro_rows>());

/// The halves of a0 b0 a1 b1 ...: `half` 0 or 1.
template <int half, class V, std::size_t... I>
V zip(V a, V b, std::index_sequence<I...>) {
  constexpr int width = sizeof...(I);
  return __builtin_shufflevector(a, b, (half * width / 2 + static_cast<int>(I) / 2 + (I % 2 ? width : 0))...);
}
/// A square of vectors, transposed: log2(width) perfect shuffles of its rows.
template <class T>
void transpose(typename Simd<T>::type (&rows)[Simd<T>::width]) {
  constexpr int width = Simd<T>::width;
  using Lanes = std::make_index_sequence<width>;
  for (int step = 1; step < width; step *= 2) {
    typename Simd<T>::type next[width];
    for (int i = 0; i < width / 2; ++i) {
      next[2 * i] = zip<0>(rows[i], rows[i + width / 2], Lanes());
      next[2 * i + 1] = zip<1>(rows[i], rows[i + width / 2], Lanes());
    }
    for (int i = 0; i < width; ++i) rows[i] = next[i];
  }
}

/// x [rows, dim] transposed, in panels of keys: out[r / panel][d][r % panel]; zeros after the last row.
template <class T, class X>
void pack_transposed(const X* x, std::int64_t stride, std::int64_t rows, std::int64_t dim, T* out) {
  using S = Simd<T>;
  constexpr int width = panel<T>;
  for (std::int64_t first = 0; first < padded<T>(rows); first += S::width) {
    T* to = out + first / width * width * dim + first % width;
    std::int64_t d = 0;
    for (; first + S::width <= rows && d + S::width <= dim; d += S::width) {
      typename S::type square[S::width];
      for (int i = 0; i < S::width; ++i) {
        const X* from = x + (first + i) * stride + d;
        T row[S::width];
        for (int j = 0; j < S::width; ++j) row[j] = static_cast<T>(from[j]);
        square[i] = S::load(row);
      }
      transpose<T>(square);
      for (int i = 0; i < S::width; ++i) S::store(to + (d + i) * width, square[i]);
    }
    for (; d < dim; ++d)
      for (int i = 0; i < S::width; ++i)
        to[d * width + i] = first + i < rows ? static_cast<T>(x[(first + i) * stride + d]) : T(0);
  }
}

/// x [rows, dim] in panels of features: out[d / panel][r][d % panel], `out_rows` rows apart; zeros after the last
/// feature.
template <class T, class X>
void pack_panels(const X* x, std::int64_t stride, std::int64_t rows, std::int64_t dim, T* out, std::int64_t out_rows) {
  constexpr int width = panel<T>;
  for (std::int64_t d = 0; d < dim; d += width) {
    std::int64_t columns = std::min<std::int64_t>(width, dim - d);
    for (std::int64_t r = 0; r < rows; ++r) {
      T* to = out + d * out_rows + r * width;
      const X* from = x + r * stride + d;
      if (columns == width) {
        for (int i = 0; i < width; ++i) to[i] = static_cast<T>(from[i]);
      } else {
        for (int i = 0; i < width; ++i) to[i] = i < columns ? static_cast<T>(from[i]) : T(0);
      }
    }
  }
}

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
    begin = low / panel<T> * panel<T>;
    end = std::max<int>(begin, padded<T>(high));
  }
  void mask(T* row) const {
    std::fill(row, row + low, T(0));
    std::fill(row + std::max(low, high), row + keys, T(0));
  }
  int low, high, keys, begin, end;
  int count() const { return end - begin; }
};

/// s [strip rows, key_tile] = a keysᵀ where a row sees a key (whole panels of keys). a [strip rows, dim], `a_step`
/// apart.
template <class T>
void strip_scores(const Strip& strip, const T* a, std::int64_t a_step, std::int64_t dim, const T* keys, T* s) {
  int begin = 0, end = 0;
  for (int key = 0; key < strip.high[strip.rows - 1]; key += panel<T>, keys += panel<T> * dim) {
    while (begin < strip.rows && strip.high[begin] <= key) ++begin;
    while (end < strip.rows && strip.low[end] < key + panel<T>) ++end;
    for (int r = begin; r < end; r += micro_rows)
      micro_products<T>[std::min(micro_rows, end - r)](dim, a + r * a_step, a_step, 1, keys, panel<T>,
                                                       s + r * key_tile + key, key_tile, false);
  }
}

/// out [strip rows, dim] += p values; p is zero where a row does not see a key. values: panels of features, key_tile
/// apart.
template <class T>
void strip_gather(const Strip& strip, const T* p, const T* values, std::int64_t dim, T* out, std::int64_t out_step) {
  for (std::int64_t d = 0; d < dim; d += panel<T>)
    for (int r = 0; r < strip.rows; r += micro_rows) {
      int count = std::min(micro_rows, strip.rows - r), low = strip.low[r];
      micro_products<T>[count](std::max(0, strip.high[r + count - 1] - low), p + r * key_tile + low, key_tile, 1,
                               values + d * key_tile + low * panel<T>, panel<T>, out + r * out_step + d, out_step,
                               true);
    }
}

/// out [keys, dim] += pᵀ x;  x [strip rows, padded dim], `x_step` apart.
template <class T>
void strip_scatter(const Strip& strip, const T* p, const T* x, std::int64_t x_step, std::int64_t dim, T* out,
                   std::int64_t out_step) {
  for (std::int64_t d = 0; d < dim; d += panel<T>) {
    int begin = 0, end = 0, last = strip.high[strip.rows - 1];
    for (int key = std::max(0, strip.low[0]); key < last; key += micro_rows) {
      int count = std::min(micro_rows, last - key);
      while (begin < strip.rows && strip.high[begin] <= key) ++begin;
      while (end < strip.rows && strip.low[end] < key + count) ++end;
      if (begin < end)
        micro_products<T>[count](end - begin, p + begin * key_tile + key, 1, key_tile, x + begin * x_step + d, x_step,
                                 out + key * out_step + d, out_step, true);
    }
  }
}

/// One row of the batch: its queries and keys, and who sees whom. A query row is a (token, head of the group) pair.
struct AttentionRow {
  AttentionRow(const AttentionArgs& args, std::int64_t row)
      : query(args.query_offsets[row]),
        key(args.key_offsets[row]),
        queries(args.query_offsets[row + 1] - query),
        keys(args.key_offsets[row + 1] - key),
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

/// The tokens whose query rows fill one block.
inline std::int64_t block_tokens(const AttentionArgs& args) {
  return std::max<std::int64_t>(1, block_rows / (args.n_head / args.n_kv_head));
}

/// Cuts a slot's scratch space into arrays that start on cache lines; with no memory it only counts.
class Scratch {
 public:
  explicit Scratch(void* data) : data_(static_cast<char*>(data)) {}
  template <class T>
  T* take(std::int64_t count) {
    char* at = data_ ? data_ + used_ : nullptr;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(at);
  }
  std::size_t used() const { return used_; }

 private:
  char* data_;
  std::size_t used_ = 0;
};

/// Runs work(item, scratch) for every item, the largest first. An item's outputs are its own and its sums have a fixed
/// order, so it does not matter which slot takes it.
template <class Item, class Work>
void run_items(Device& device, std::vector<Item>& items, std::size_t slot_bytes, void* workspace, const Work& work) {
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.cost > b.cost; });
  std::atomic<std::size_t> next{0};
  std::int64_t slots = std::min<std::int64_t>(device.threads().size(), static_cast<std::int64_t>(items.size()));
  device.threads().parallel_for(slots, [&](std::int64_t slot) {
    char* scratch = static_cast<char*>(workspace) + static_cast<std::size_t>(slot) * slot_bytes;
    for (std::size_t i; (i = next.fetch_add(1)) < items.size();) work(items[i], scratch);
  });
}

}  // namespace loragrad::cpu

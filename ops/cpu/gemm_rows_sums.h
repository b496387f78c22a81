#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "ops/cpu/units.h"

/// The inner loops of gemm_rows.cpp. An element of c is a chain of multiply-adds over k, or one a lane and then the
/// lanes' sum: neither the number of rows and columns that are formed side by side nor their place is in it.
namespace loragrad::cpu {

/// What rows of a consist of where U is the unit.
template <class U>
using ElementOf = std::conditional_t<std::is_same_v<U, Pair>, bf16, U>;
/// Elements in a vector of units.
template <class U>
constexpr std::int64_t step = terms<U>* Simd<U>::width;

/// A vector of units from numbers of another type.
template <class U, class B>
typename Simd<U>::type load_units(const B* from) {
  typename Simd<U>::type v;
  if constexpr (std::is_same_v<U, Pair> || std::is_same_v<U, B>) {
    std::memcpy(&v, from, sizeof v);
  } else if constexpr (std::is_same_v<U, float>) {
    v = load_f32(from);
  } else {
    for (int i = 0; i < Simd<U>::width; ++i) v[i] = static_cast<U>(static_cast<float>(element(from + i)));
  }
  return v;
}
/// The same of `count` numbers, fewer than fill it, and zeros after them.
template <class U, class B>
typename Simd<U>::type load_units(const B* from, std::int64_t count) {
  B some[step<U>] = {};
  std::memcpy(some, from, static_cast<std::size_t>(count) * sizeof(B));
  return load_units<U>(some);
}

/// A matrix's rows, of k elements.
template <class T>
struct RowsOf {
  const T* data;
  std::int64_t stride, k;
  const T* operator[](std::int64_t row) const { return data + row * stride; }
};

/// As many sums at once as hide an addition's latency and fit the registers.
constexpr int sums_at_once = simd_bytes < 64 ? 8 : 16, most_rows_at_once = sums_at_once / 2;
template <int rows, class U>
constexpr int columns_at_once = std::min({4, sums_at_once / rows, static_cast<int>(Simd<SumOf<U>>::width)});

/// Asks for what lies so many bytes behind `from`, for the cache of a level: a core waits for more lines at once in the
/// second than in the first.
template <int level, class B>
void prefetch(const B* from, std::int64_t bytes) {
  __builtin_prefetch(reinterpret_cast<const char*>(from) + bytes, 0, level == 1 ? 3 : 2);
}
constexpr std::int64_t ahead = 32 << 10;  // bytes before its use that b is asked for

/// lanes[r][c] = the sums, lane by lane, of a[row + r] times b[col + c], c < count; others are of no use. k is taken
/// in pieces, so that a's rows stay in the first-level cache.
template <int rows, class U, class B>
void dot_products(const RowsOf<ElementOf<U>>& a, std::int64_t row, const RowsOf<B>& b, std::int64_t col,
                  std::int64_t count, typename Simd<SumOf<U>>::type (*lanes)[Simd<SumOf<U>>::width]) {
  using Units = typename Simd<U>::type;
  constexpr int columns = columns_at_once<rows, U>;
  static_assert(Simd<SumOf<U>>::width % columns == 0, "sums behind `count` have a place, too");
  constexpr std::int64_t piece = (16 << 10) / (rows * sizeof(ElementOf<U>)) / step<U> * step<U>;
  for (std::int64_t begin = 0; begin < a.k; begin += piece) {
    std::int64_t end = std::min(begin + piece, a.k);
    for (std::int64_t c = 0; c < count; c += columns) {
      const ElementOf<U>* x[rows];
      const B* w[columns];
      for (int r = 0; r < rows; ++r) x[r] = a[row + r];
      for (int j = 0; j < columns; ++j) w[j] = b[col + std::min(c + j, count - 1)];
      typename Simd<SumOf<U>>::type sum[rows][columns] = {};
      if (begin > 0)
        for (int r = 0; r < rows; ++r)
          for (int j = 0; j < columns; ++j) sum[r][j] = lanes[r][c + j];
      auto add = [&](std::int64_t p, auto... number) {
        Units from_b[columns];
        for (int j = 0; j < columns; ++j) from_b[j] = load_units<U>(w[j] + p, number...);
        for (int r = 0; r < rows; ++r) {
          Units from_a = load_units<U>(x[r] + p, number...);
          for (int j = 0; j < columns; ++j) sum[r][j] = fma(from_a, from_b[j], sum[r][j]);
        }
      };
      std::int64_t p = begin;
      for (; p + step<U> <= end; p += step<U>) {
        for (int j = 0; j < columns; ++j) prefetch<2>(w[j] + p, ahead);
        add(p);
      }
      if (p < end) add(p, end - p);
      for (int r = 0; r < rows; ++r)
        for (int j = 0; j < columns; ++j) lanes[r][c + j] = sum[r][j];
    }
  }
}

/// One number from each vector: the sum of its lanes.
template <class T>
typename Simd<T>::type add_lanes(typename Simd<T>::type (&lanes)[Simd<T>::width]) {
  using All = std::make_index_sequence<Simd<T>::width>;
  for (int half = Simd<T>::width / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i)
      lanes[i] = zip<0>(lanes[i], lanes[i + half], All()) + zip<1>(lanes[i], lanes[i + half], All());
  return lanes[0];
}

/// Units of neighbouring rows of b, one from each column; `second` is null behind the last row.
template <class U, class B, class... Count>
typename Simd<U>::type load_across(const B* first, const B* second, Count... count) {
  if constexpr (std::is_same_v<U, Pair>) {
    auto bits = [&](const B* from) { return (typename Simd<Pair>::type)load_units<float>(from, count...); };
    typename Simd<Pair>::type low = bits(first) >> 16;  // the upper half of an f32 is the bf16
    return second ? low | bits(second) : low;
  } else {
    return load_units<U>(first, count...);
  }
}

/// The unit of a row at element p; behind its last, zero.
template <class U>
U unit_at(const ElementOf<U>* row, std::int64_t p, bool is_last) {
  U unit{};
  std::memcpy(&unit, row + p, is_last ? sizeof *row : sizeof unit);
  return unit;
}

constexpr std::int64_t column_block = 256;  // whose sums stay in the first-level cache

/// sums[r] += a[row + r] times b, for `count` columns from `col` on; b is [k, columns]. Several of its rows are
/// multiplied while a vector of sums is at hand.
template <int rows, class U, class B>
void add_columns(const RowsOf<ElementOf<U>>& a, std::int64_t row, const RowsOf<B>& b, std::int64_t col,
                 std::int64_t count, SumOf<U> (*sums)[column_block]) {
  using S = Simd<SumOf<U>>;
  auto add_units = [&]<int depth>(std::int64_t p, std::integral_constant<int, depth>) {
    bool is_last = depth == 1 && p + terms<U> > a.k;  // half a pair
    auto add = [&](std::int64_t at, auto... width) {
      typename Simd<U>::type w[depth];
      for (int d = 0; d < depth; ++d) {
        const B* first = b[p + d * terms<U>] + col + at;
        w[d] = load_across<U>(first, is_last ? nullptr : first + b.stride, width...);
        if (depth > 1)
          for (int t = 0; t < terms<U>; ++t)
            prefetch<1>(first + t * b.stride, depth * terms<U> * b.stride * static_cast<std::int64_t>(sizeof(B)));
      }
      for (int r = 0; r < rows; ++r) {
        typename S::type sum = S::load(sums[r] + at);
        for (int d = 0; d < depth; ++d)
          sum = fma(broadcast<U>(unit_at<U>(a[row + r], p + d * terms<U>, is_last)), w[d], sum);
        S::store(sums[r] + at, sum);
      }
    };
    std::int64_t at = 0;
    for (; at + S::width <= count; at += S::width) add(at);
    if (at < count) add(at, count - at);
  };
  constexpr int deep = 8;
  std::int64_t p = 0;
  for (; p + deep * terms<U> <= a.k; p += deep * terms<U>) add_units(p, std::integral_constant<int, deep>());
  for (; p < a.k; p += terms<U>) add_units(p, std::integral_constant<int, 1>());
}

}  // namespace loragrad::cpu

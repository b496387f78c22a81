#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "ops/cpu/units.h"

/// The small products that attention is made of, and how their operands are packed. An operand consists of units.
namespace loragrad::cpu {

/// Sums and softmax are f32 for f32 and bf16, f64 for f64.
template <class X>
using AttentionSum = std::conditional_t<std::is_same_v<X, double>, double, float>;

#ifdef __AVX512BF16__
template <class X>
using AttentionUnit = std::conditional_t<std::is_same_v<X, bf16>, Pair, X>;
#else
template <class X>
using AttentionUnit = AttentionSum<X>;
#endif

/// Right operands lie in panels of this many columns.
template <class U>
constexpr int panel_width = 2 * Simd<U>::width;
template <class U>
constexpr std::int64_t padded(std::int64_t n) {
  return (n + panel_width<U> - 1) / panel_width<U> * panel_width<U>;
}

// 6 x 2 accumulators, 2 of b, 1 of a: the 16 registers of AVX2; AVX-512 has 32.
constexpr int micro_rows = simd_bytes < 64 ? 6 : 12;

/// c [M, panel] (+)= a [M, k] b [k, panel], k in units; a(i, p) is a[i row_step + p step].
template <class U, int M>
void micro_product(std::int64_t k, const U* a, std::int64_t row_step, std::int64_t step, const U* b,
                   std::int64_t b_step, SumOf<U>* c, std::int64_t c_step, bool add) {
  using S = Simd<SumOf<U>>;
  using B = Simd<U>;
  typename S::type sum[M][2];
  for (int i = 0; i < M; ++i) sum[i][0] = sum[i][1] = typename S::type{};
  for (std::int64_t p = 0; p < k; ++p, a += step, b += b_step) {
    typename B::type b0 = B::load(b), b1 = B::load(b + B::width);
    for (int i = 0; i < M; ++i) {
      typename B::type x = broadcast(a[i * row_step]);
      sum[i][0] = fma(x, b0, sum[i][0]);
      sum[i][1] = fma(x, b1, sum[i][1]);
    }
  }
  for (int i = 0; i < M; ++i, c += c_step) {
    S::store(c, add ? S::load(c) + sum[i][0] : sum[i][0]);
    S::store(c + S::width, add ? S::load(c + S::width) + sum[i][1] : sum[i][1]);
  }
}

template <class U>
using MicroProduct = void (*)(std::int64_t, const U*, std::int64_t, std::int64_t, const U*, std::int64_t, SumOf<U>*,
                              std::int64_t, bool);
/// For 0 to micro_rows rows.
template <class U>
constexpr auto micro_products = []<std::size_t... M>(std::index_sequence<M...>) {
  return std::array<MicroProduct<U>, micro_rows + 1>{nullptr, micro_product<U, M + 1>...};
}
(std::make_index_sequence<micro_rows>());

/// `n` units of a row along it; zero after its last element. The row may be a weight's, at any byte.
template <class U, class X>
void units_along(const X* from, std::int64_t elements, std::int64_t n, U* to) {
  if constexpr (terms<U> == 2) {
    if (elements < 2 * n) std::fill(to + elements / 2, to + n, U(0));
    std::memcpy(to, from, static_cast<std::size_t>(std::min(2 * n, elements)) * sizeof(X));
  } else {
    for (std::int64_t i = 0; i < n; ++i) to[i] = i < elements ? static_cast<U>(element(from + i)) : U(0);
  }
}
/// `n` units of neighbouring rows, one from each column; `second` is null behind the last row.
template <class U, class X>
void units_across(const X* first, const X* second, std::int64_t n, U* to) {
  if constexpr (terms<U> == 2) {
    for (std::int64_t i = 0; i < n; ++i) to[i] = first[i].bits | (second ? static_cast<U>(second[i].bits) << 16 : U(0));
  } else {
    for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<U>(first[i]);
  }
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

#ifdef __AVX512BF16__
/// A panel of numbers, rounded, as pairs of neighbours.
inline void store_pairs_along(const float* from, Pair* to) {
  __m512bh pairs = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + Simd<float>::width), _mm512_loadu_ps(from));
  std::memcpy(to, &pairs, sizeof pairs);
}
/// A vector of numbers, rounded, each paired with the one in `second`; null: with zero.
inline void store_pairs_across(const float* first, const float* second, Pair* to) {
  auto rounded = [](const float* from) {
    return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from)));
  };
  __m512i pairs = rounded(first);
  if (second) pairs = _mm512_or_si512(pairs, _mm512_slli_epi32(rounded(second), 16));
  std::memcpy(to, &pairs, sizeof pairs);
}
#endif

/// x [rows, dim] transposed, in panels of keys: out[r / panel][unit of d][r % panel]; zeros after the last row.
template <class U, class X>
void pack_transposed(const X* x, std::int64_t stride, std::int64_t rows, std::int64_t dim, U* out) {
  using S = Simd<U>;
  constexpr int width = panel_width<U>;
  for (std::int64_t first = 0; first < padded<U>(rows); first += S::width) {
    U* to = out + first / width * width * units<U>(dim) + first % width;
    for (std::int64_t d = 0; d < units<U>(dim); d += S::width) {
      std::int64_t count = std::min<std::int64_t>(S::width, units<U>(dim) - d);
      typename S::type square[S::width];
      for (int i = 0; i < S::width; ++i) {
        U row[S::width] = {};
        if (first + i < rows) units_along(x + (first + i) * stride + d * terms<U>, dim - d * terms<U>, count, row);
        square[i] = S::load(row);
      }
      transpose<U>(square);
      for (int i = 0; i < count; ++i) S::store(to + (d + i) * width, square[i]);
    }
  }
}

/// x [rows, dim] in panels of features: out[d / panel][unit of r][d % panel], `out_rows` units apart; zeros after the
/// last feature.
template <class U, class X>
void pack_panels(const X* x, std::int64_t stride, std::int64_t rows, std::int64_t dim, U* out, std::int64_t out_rows) {
  constexpr int width = panel_width<U>;
  for (std::int64_t d = 0; d < dim; d += width) {
    std::int64_t columns = std::min<std::int64_t>(width, dim - d);
    for (std::int64_t r = 0; r < units<U>(rows); ++r) {
      U* to = out + d * out_rows + r * width;
      const X* from = x + r * terms<U> * stride + d;
      const X* next = (r + 1) * terms<U> <= rows ? from + stride : nullptr;
      if (columns == width) {
        units_across(from, next, width, to);
      } else {
        units_across(from, next, columns, to);
        std::fill(to + columns, to + width, U(0));
      }
    }
  }
}

}  // namespace loragrad::cpu

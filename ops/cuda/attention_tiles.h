#pragma once
#include <string>

#include "engine/error.h"
#include "ops/cuda/attention_rows.h"
#include "ops/cuda/operands.h"

/// Tiles of queries, keys and values in shared memory, and the way to them and back to device memory.
namespace loragrad::cuda {

/// Rows of `dim` elements in shared memory, in packs of 16 bytes. Eight neighbouring rows have the same pack in eight
/// different banks: packs change places within a row by the row's number, or rows have a pack to spare.
template <class X, int dim>
class Tile {
 public:
  static constexpr int pack = Pack<X>::size;
  static constexpr bool swaps = dim % (8 * pack) == 0;
  static constexpr int stride = swaps ? dim : dim + pack;
  static_assert(swaps || stride / pack % 2 == 1);
  static constexpr std::size_t bytes(int rows) { return static_cast<std::size_t>(rows) * stride * sizeof(X); }

  __device__ explicit Tile(void* memory) : data_(static_cast<X*>(memory)) {}
  /// Element c of row r; those of its pack lie beside it.
  __device__ X* at(int r, int c) const { return data_ + place(r, c); }
  __device__ const Pack<X>& pack_at(int r, int c) const { return *reinterpret_cast<const Pack<X>*>(at(r, c)); }

  /// The same in two steps, for a lane that goes on from one place by distances that are known when this is compiled:
  /// `rows` a multiple of 8, `cols` of two packs, from an element in the first two.
  static __device__ int place(int r, int c) { return r * stride + (swaps ? c ^ (r & 7) * pack : c); }
  __device__ X* from(int place, int rows, int cols) const {
    constexpr int turn = 8 * pack;
    if (swaps) place = (place ^ cols % turn) + cols / turn * turn;
    return data_ + place + rows * stride + (swaps ? 0 : cols);
  }

 private:
  X* data_;
};

/// Heads of a matrix [tokens, heads * head_dim].
template <class X>
struct HeadMatrix {
  HeadMatrix(const ConstMatrix& m, const AttentionArgs& args)
      : data(static_cast<X*>(const_cast<void*>(m.data))), stride(m.stride) {
    auto packed = [](std::int64_t bytes) { return bytes % 16 == 0; };
    auto size = static_cast<std::int64_t>(sizeof(X));
    packs = packed(reinterpret_cast<std::intptr_t>(m.data)) && packed(args.head_dim * size) && packed(stride * size);
  }
  X* data;
  std::int64_t stride;
  bool packs;  // each head of a row is made of aligned packs
  __device__ X* at(int token, int head, int head_dim) const { return data + token * stride + head * head_dim; }
};

/// Starts to copy `count` rows to a tile of `rows`, row r's `cols` elements from at(r), and fills it up with zeros.
/// Addresses of what is not there are made, and not read.
template <int rows, int threads, class X, int dim, class At>
__device__ inline void load_rows(const Tile<X, dim>& tile, int count, int cols, bool packs, const At& at) {
  using T = Tile<X, dim>;
  auto thread = static_cast<int>(threadIdx.x);
  if (packs) {
    // A thread has one column of packs, or several, of every so many rows.
    constexpr int per_row = dim / T::pack, across = std::min(per_row, threads), down = threads / across;
    static_assert(per_row % across == 0);
    int first = thread < across * down ? thread / across : rows;
    for (int c = thread % across * T::pack; c < dim; c += across * T::pack) {
      int there = c < cols ? count : 0, place = T::place(first, c);
#pragma unroll 4
      for (int i = 0; i < rows; i += down) {
        int r = first + i;
        if ((rows % down != 0 || across * down < threads) && r >= rows) break;
        copy_async(down % 8 == 0 ? tile.from(place, i, 0) : tile.at(r, c), at(r) + c, r < there);
      }
    }
  } else {
#pragma unroll 1
    for (int n = thread; n < rows * dim; n += threads) {
      int r = n / dim, c = n % dim;
      *tile.at(r, c) = r < count && c < cols ? at(r)[c] : X{};
    }
  }
}

/// target = sums + beta target, for `count` rows of `cols` elements; at(r) is where row r of the block begins.
template <class E, class X, class At>
__device__ inline void store_rows(typename E::Sums& sums, int count, int cols, typename E::C beta, const At& at) {
  constexpr int n = E::run;
#pragma unroll
  for (int i = 0; i < E::Sums::rows; ++i) {
    int r = E::row(i);
    if (r >= count) continue;
    X* to = at(r);
    bool aligned = reinterpret_cast<std::uintptr_t>(to) % sizeof(Unit<X, n>) == 0;
#pragma unroll
    for (int j = 0; j < E::Sums::cols; j += n) {
      int c = E::feature(j);
      typename E::C values[n];
      for (int e = 0; e < n; ++e) values[e] = sums(i, j + e);
      if (aligned && c + n <= cols) {
        auto* unit = reinterpret_cast<Unit<X, n>*>(to + c);
        if (beta != 0) add_scaled(values, beta, *unit);
        Unit<X, n> result;
        result.round(values);
        *unit = result;
      } else {
        for (int e = 0; e < n && c + e < cols; ++e) {
          if (beta != 0) values[e] += beta * as<typename E::C>(to[c + e]);
          to[c + e] = rounded<X>(values[e]);
        }
      }
    }
  }
}

/// The type and dimension of tiles, the heads' or wider: f is called with the narrowest that there is, and with whether
/// scores are capped, for which there are fewer.
template <class X_, int dim_>
struct HeadTile {
  using X = X_;
  static constexpr int dim = dim_;
};
template <bool capped, class X, int dim, int... wider, class F>
void with_head_tile(std::int64_t head_dim, const F& f) {
  if (head_dim <= dim) return f(HeadTile<X, dim>(), std::bool_constant<capped>());
  if constexpr (sizeof...(wider) > 0)
    with_head_tile<capped, X, wider...>(head_dim, f);
  else
    throw UsageError("attention: head_dim: expected at most " + std::to_string(dim) + " on a GPU, found " +
                     std::to_string(head_dim));
}
template <class F>
void with_head_tile(const AttentionArgs& args, const F& f) {
  DType dtype = args.q.dtype;
  if (args.soft_cap > 0) {
    if (dtype == DType::f64) return with_head_tile<true, double, 64, 256>(args.head_dim, f);
    if (dtype == DType::f32) return with_head_tile<true, float, 128, 256>(args.head_dim, f);
    return with_head_tile<true, bf16, 128, 256>(args.head_dim, f);
  }
  if (dtype == DType::f64) return with_head_tile<false, double, 32, 64, 256>(args.head_dim, f);
  if (dtype == DType::f32) return with_head_tile<false, float, 64, 128, 256>(args.head_dim, f);
  with_head_tile<false, bf16, 32, 64, 96, 128, 256>(args.head_dim, f);
}

}  // namespace loragrad::cuda

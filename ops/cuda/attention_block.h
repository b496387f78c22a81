#pragma once
#include <algorithm>

#include "ops/cuda/attention_tiles.h"

/// What a block of attention's kernels has: rows that it owns, which stay in shared memory, and tiles of rows that pass
/// by. E, MmaTiles or FmaTiles, says how many of each, and multiplies them.
namespace loragrad::cuda {

/// A row that a block owns: where it lies in its matrix, and which columns it sees.
struct alignas(16) OwnRow {
  int token, head;
  Range seen;
};

/// The block's shared memory: `owned` tiles that stay, two buffers of two tiles that pass, what E exchanges, and what
/// belongs to rows: those that stay, and in two buffers those that pass.
template <class E, int owned>
class AttentionMemory {
  using C = typename E::C;
  using T = Tile<typename E::X, E::dim>;
  static constexpr std::size_t passing = owned * T::bytes(E::rows), exchanged = passing + 4 * T::bytes(E::columns),
                               listed = exchanged + E::exchange_bytes, numbers = listed + E::rows * sizeof(OwnRow);
  static constexpr int numbered = std::max(E::rows, 2 * E::columns);

 public:
  static constexpr std::size_t bytes = numbers + (owned > 1 ? 2 * numbered * sizeof(C) : 0);
  static_assert(bytes <= (sizeof(C) > 4 ? 227 : 99) << 10);  // of every card, but for f64, which only tests use
  static __device__ T own(int i) { return T(shared_memory() + i * T::bytes(E::rows)); }
  static __device__ T pass(int buffer, int i) {
    return T(shared_memory() + passing + (2 * buffer + i) * T::bytes(E::columns));
  }
  static __device__ void* exchange() { return shared_memory() + exchanged; }
  static __device__ void* rows() { return shared_memory() + listed; }
  /// Two numbers for each row, of those that stay or those that pass.
  static __device__ C* own_numbers(int i) { return reinterpret_cast<C*>(shared_memory() + numbers) + i * numbered; }
  static __device__ C* passing_numbers(int buffer, int i) { return own_numbers(i) + buffer * E::columns; }
};

/// The rows that a block owns, in a list that stays in shared memory: registers are scarce where it is needed. made(r)
/// makes row r, of `count`.
template <class E>
class OwnRows {
 public:
  template <class Made>
  __device__ OwnRows(void* memory, int count, const Made& made) : rows_(static_cast<OwnRow*>(memory)) {
#pragma unroll 1
    for (int r = static_cast<int>(threadIdx.x); r < E::rows; r += E::threads) {
      rows_[r] = made(min(r, count - 1));
      if (r / E::warp_rows * E::warp_rows >= count) rows_[r].seen = {0, 0};  // a warp without rows has nothing to do
    }
    __syncthreads();
  }
  /// Row r of a matrix, as a function.
  template <class X>
  __device__ auto in(const HeadMatrix<X>& m, int head_dim) const {
    return [rows = rows_, &m, head_dim](int r) { return m.at(rows[r].token, rows[r].head, head_dim); };
  }
  __device__ const OwnRow& operator[](int r) const { return rows_[r]; }

  /// The columns that some row of the block sees, of `count`.
  __device__ Range seen(int count) const { return {rows_[0].seen.begin, rows_[count - 1].seen.end}; }
  /// Whether a row of the warp sees one of the columns from `tile` on.
  __device__ bool see(int tile) const { return tile < last().end && tile + E::columns > first().begin; }
  /// Puts `hidden` where a row does not see a column.
  __device__ void mask(typename E::Scores& s, int tile, typename E::C hidden) const {
    if (tile >= last().begin && tile + E::columns <= first().end) return;
#pragma unroll
    for (int i = 0; i < E::Scores::rows; ++i) {
      Range range = rows_[E::row(i)].seen;
      int begin = range.begin - tile - E::column(0), end = range.end - tile - E::column(0);
#pragma unroll
      for (int j = 0; j < E::Scores::cols; ++j)
        if (E::distance(j) < begin || E::distance(j) >= end) s(i, j) = hidden;
    }
  }

 private:
  __device__ const Range& first() const { return rows_[E::first_row()].seen; }
  __device__ const Range& last() const { return rows_[E::first_row() + E::warp_rows - 1].seen; }

  OwnRow* rows_;
};

/// Starts to copy two passing tiles: of two matrices `count` rows of a head, from a token on.
template <class E, int owned, class X>
__device__ inline void load_passing(int buffer, const HeadMatrix<const X>& a, const HeadMatrix<const X>& b, int token,
                                    int head, int count, int head_dim) {
  auto load = [&](int i, const HeadMatrix<const X>& m) {
    const X* first = m.at(token, head, head_dim);
    load_rows<E::columns, E::threads>(AttentionMemory<E, owned>::pass(buffer, i), count, head_dim, m.packs,
                                      [&](int r) { return first + r * m.stride; });
  };
  load(0, a);
  load(1, b);
}

/// Passes `count` tiles through two buffers: while work(i, buffer) runs, load(i + 1, other buffer) is under way. What it
/// has loaded into registers is put there by land(buffer).
template <class Load, class Land, class Work>
__device__ inline void stream_tiles(int count, const Load& load, const Land& land, const Work& work) {
  if (count > 0) {
    load(0, 0);
    land(0);
  }
  copies_commit();
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    copies_wait<0>();
    __syncthreads();
    if (i + 1 < count) load(i + 1, (i + 1) % 2);
    copies_commit();
    work(i, i % 2);
    if (i + 1 < count) land((i + 1) % 2);
  }
}

}  // namespace loragrad::cuda

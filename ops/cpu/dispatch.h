#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstring>

#include "ops/cpu/processor.h"

/// From runtime dtypes to template scalars. A kernel computes in C, float or double, a block of consecutive elements of
/// one row at a time; `load` and `store` convert from and to whatever the matrix holds. Blocks have a fixed size and
/// alignment, so that an element's result depends neither on where it stands in memory nor on its place in the row:
/// Eigen's packet functions (exp, tanh, erf) differ in the last bit from the scalar ones that it uses at unaligned
/// ends.
namespace loragrad::cpu {

constexpr std::int64_t block_size = 256;
template <class C>
using Block = Eigen::Array<C, block_size, 1>;
template <class C>
using Map = Eigen::Map<Eigen::Array<C, Eigen::Dynamic, 1>>;
template <class C>
using ConstMap = Eigen::Map<const Eigen::Array<C, Eigen::Dynamic, 1>>;

inline const char* address(const ConstMatrix& m, std::int64_t row, std::int64_t col) {
  return static_cast<const char*>(m.data) + (row * m.stride + col) * static_cast<std::int64_t>(size_of(m.dtype));
}
inline char* address(const Matrix& m, std::int64_t row, std::int64_t col) {
  return static_cast<char*>(m.data) + (row * m.stride + col) * static_cast<std::int64_t>(size_of(m.dtype));
}

/// Calls f with a value of the type to compute in: double if one of the matrices holds f64, else float.
template <class F>
void with_scalar(std::initializer_list<ConstMatrix> matrices, F f) {
  for (const ConstMatrix& m : matrices)
    if (m.data && m.dtype == DType::f64) return f(double{});
  f(float{});
}

/// Elements that may lie at any byte (a mapped file) to C.
template <class T, class C>
void convert(const char* from, std::int64_t n, C* to) {
  if constexpr (std::is_same_v<T, C>) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(C));
  } else {
    for (std::int64_t i = 0; i < n; ++i) {
      T value;
      std::memcpy(&value, from + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
      if constexpr (std::is_arithmetic_v<T>)
        to[i] = static_cast<C>(value);
      else
        to[i] = static_cast<float>(value);
    }
  }
}
template <class C>
void load(const ConstMatrix& m, std::int64_t row, std::int64_t col, std::int64_t n, C* to) {
  const char* from = address(m, row, col);
  switch (m.dtype) {
    case DType::f32:
      return convert<float>(from, n, to);
    case DType::f64:
      return convert<double>(from, n, to);
    case DType::bf16:
      return convert<bf16>(from, n, to);
    case DType::f16:
      return convert<f16>(from, n, to);
    case DType::i32:
      return convert<std::int32_t>(from, n, to);
  }
}
template <class C>
void load(const ConstMatrix& m, std::int64_t row, std::int64_t col, std::int64_t n, Block<C>& to) {
  load(m, row, col, n, to.data());
  if (n < block_size) to.tail(block_size - n).setZero();
}

/// y = values + beta y
template <class C>
void store(const C* values, double beta, const Matrix& m, std::int64_t row, std::int64_t col, std::int64_t n) {
  char* to = address(m, row, col);
  C b = static_cast<C>(beta);
  auto write = [&](auto* y) {
    using T = std::remove_pointer_t<decltype(y)>;
    using Wide = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
    if (beta == 0)
      for (std::int64_t i = 0; i < n; ++i) y[i] = T(static_cast<Wide>(values[i]));
    else
      for (std::int64_t i = 0; i < n; ++i)
        y[i] = T(static_cast<Wide>(values[i] + b * static_cast<C>(static_cast<Wide>(y[i]))));
  };
  if (m.dtype == DType::f32) write(reinterpret_cast<float*>(to));
  if (m.dtype == DType::f64) write(reinterpret_cast<double*>(to));
  if (m.dtype == DType::bf16) write(reinterpret_cast<bf16*>(to));
}
template <class C>
void store(const Block<C>& values, double beta, const Matrix& m, std::int64_t row, std::int64_t col, std::int64_t n) {
  store(values.data(), beta, m, row, col, n);
}

/// Calls f(column, n) for the blocks of one row.
template <class F>
void for_row_blocks(std::int64_t cols, F f) {
  for (std::int64_t col = 0; col < cols; col += block_size) f(col, std::min(block_size, cols - col));
}

/// to = from + beta to, on the calling thread.
template <class C>
void copy_here(const ConstMatrix& from, double beta, const Matrix& to) {
  Block<C> values;
  for (std::int64_t row = 0; row < from.rows; ++row)
    for_row_blocks(from.cols, [&](std::int64_t col, std::int64_t n) {
      load(from, row, col, n, values);
      store(values, beta, to, row, col, n);
    });
}

/// Under a soft cap: cap tanh(values / cap).
template <class C>
void cap_softly(Block<C>& values, C cap) {
  values = (values * (1 / cap)).tanh() * cap;
}

/// Calls f(first, last) for tiles of rows, in parallel; a tile has about 32,768 elements.
template <class F>
void for_row_tiles(Device& device, std::int64_t rows, std::int64_t cols, F f) {
  std::int64_t tile = std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(cols, 1));
  threads_of(device).parallel_for((rows + tile - 1) / tile,
                                  [&](std::int64_t i) { f(i * tile, std::min(rows, (i + 1) * tile)); });
}

/// Calls f(row, column, n) for all blocks of a matrix, in parallel.
template <class F>
void for_blocks(Device& device, std::int64_t rows, std::int64_t cols, F f) {
  std::int64_t per_row = (cols + block_size - 1) / block_size;
  if (rows == 0 || cols == 0) return;
  for_row_tiles(device, rows * per_row, std::min(cols, block_size), [&](std::int64_t first, std::int64_t last) {
    std::int64_t row = first / per_row, col = first % per_row * block_size;
    for (std::int64_t i = first; i < last; ++i) {
      f(row, col, std::min(block_size, cols - col));
      col += block_size;
      if (col >= cols) col = 0, ++row;
    }
  });
}

/// The sum of f(i), i < n, in an order that depends on n alone.
template <class C, class F>
C ordered_sum(std::int64_t n, F f) {
  constexpr std::int64_t lanes = 16;
  C lane[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::int64_t j = 0; j < lanes; ++j) lane[j] += f(i + j);
  for (std::int64_t j = 0; i + j < n; ++j) lane[j] += f(i + j);
  for (std::int64_t half = lanes / 2; half > 0; half /= 2)
    for (std::int64_t j = 0; j < half; ++j) lane[j] += lane[j + half];
  return lane[0];
}

}  // namespace loragrad::cpu

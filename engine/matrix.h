#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "engine/dtype.h"

namespace loragrad {

/// A row-major matrix in a device's memory; `stride` is the distance between rows in elements.
struct ConstMatrix {
  const void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0, cols = 0, stride = 0;
};
struct Matrix {
  void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0, cols = 0, stride = 0;
  operator ConstMatrix() const { return {data, dtype, rows, cols, stride}; }
};

/// The values of a frozen or trained parameter as products, the embedding and the head read them. A matrix; the one
/// place for what a weight may have that activations have not.
struct WeightView : ConstMatrix {
  WeightView() = default;
  WeightView(const ConstMatrix& m) : ConstMatrix(m) {}
  WeightView(const Matrix& m) : ConstMatrix(m) {}
};

/// `count` rows, or columns, of a matrix from `begin` on; data stays null where there is no memory.
template <class M>
M row_range(M m, std::int64_t begin, std::int64_t count) {
  using Byte = std::conditional_t<std::is_same_v<M, Matrix>, std::byte, const std::byte>;
  if (m.data) m.data = static_cast<Byte*>(m.data) + bytes_of(m.dtype, begin * m.stride);
  m.rows = count;
  return m;
}
template <class M>
M column_range(M m, std::int64_t begin, std::int64_t count) {
  using Byte = std::conditional_t<std::is_same_v<M, Matrix>, std::byte, const std::byte>;
  if (m.data) m.data = static_cast<Byte*>(m.data) + bytes_of(m.dtype, begin);
  m.cols = count;
  return m;
}

/// Makes one row of matrices of equal shape when none has gaps between its rows.
template <class... M>
void flatten(M&... matrices) {
  if ((... && (!matrices.data || matrices.stride == matrices.cols))) {
    auto one_row = [](auto& m) {
      m.cols = m.stride = m.rows * m.cols;
      m.rows = 1;
    };
    (one_row(matrices), ...);
  }
}

/// Whether two matrices may have elements in common: not if they lie apart, are other columns of one matrix, or have no
/// memory.
inline bool may_overlap(const ConstMatrix& a, const ConstMatrix& b) {
  auto begin = [](const ConstMatrix& m) { return reinterpret_cast<std::intptr_t>(m.data); };
  auto size = [](const ConstMatrix& m) { return static_cast<std::intptr_t>(size_of(m.dtype)); };
  auto end = [&](const ConstMatrix& m) { return begin(m) + ((m.rows - 1) * m.stride + m.cols) * size(m); };
  if (!a.data || !b.data || a.rows * a.cols == 0 || b.rows * b.cols == 0) return false;
  if (end(a) <= begin(b) || end(b) <= begin(a)) return false;
  if (a.stride != b.stride || a.dtype != b.dtype) return true;
  std::intptr_t col = (begin(b) - begin(a)) / size(a) % a.stride;
  if (col < 0) col += a.stride;
  return col < a.cols || col + b.cols > a.stride;
}

}  // namespace loragrad

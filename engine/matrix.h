#pragma once
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

/// `count` rows, or columns, of a matrix from `begin` on; data stays null where there is no memory.
template <class M>
M row_range(M m, std::int64_t begin, std::int64_t count) {
  using Byte = std::conditional_t<std::is_same_v<M, Matrix>, std::byte, const std::byte>;
  if (m.data) m.data = static_cast<Byte*>(m.data) + static_cast<std::size_t>(begin * m.stride) * size_of(m.dtype);
  m.rows = count;
  return m;
}
template <class M>
M column_range(M m, std::int64_t begin, std::int64_t count) {
  using Byte = std::conditional_t<std::is_same_v<M, Matrix>, std::byte, const std::byte>;
  if (m.data) m.data = static_cast<Byte*>(m.data) + static_cast<std::size_t>(begin) * size_of(m.dtype);
  m.cols = count;
  return m;
}

}  // namespace loragrad

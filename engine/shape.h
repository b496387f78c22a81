#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <limits>
#include <string>

namespace loragrad {

/// Rows and columns. Everything in a transformer is a matrix here: activations are [tokens, features], a vector is one
/// row, a scalar is [1, 1]. Row-major.
struct Shape {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t numel() const { return rows * cols; }
  bool operator==(const Shape&) const = default;
  /// "[4, 768]"
  std::string text() const;
};

/// Of a list: from `begin` up to, and without, `end`.
struct IndexRange {
  std::int64_t begin = 0, end = std::numeric_limits<std::int64_t>::max();
};

/// The part of a matrix that begins at (row, col).
struct Region {
  std::int64_t row = 0, col = 0;
  Shape shape;
  bool operator==(const Region&) const = default;
};

}  // namespace loragrad

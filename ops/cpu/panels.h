#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/matrix.h"

namespace loragrad::cpu {

/// Columns of a matrix in panels: `width` of them (in the last, what is left), dense, `stride` elements from the
/// beginning of one panel to the next. With width 0 the matrix is one piece.
struct Panels {
  std::int64_t width = 0, stride = 0;
  explicit operator bool() const { return width > 0; }
  std::int64_t count(std::int64_t cols) const { return width > 0 ? (cols + width - 1) / width : 1; }
};

/// Panel i of a matrix that lies in panels.
template <class M>
M panel(M m, const Panels& panels, std::int64_t i) {
  if (!panels) return m;
  std::int64_t cols = std::min(panels.width, m.cols - i * panels.width);
  m = column_range(m, i * panels.stride, cols);
  m.stride = cols;
  return m;
}

}  // namespace loragrad::cpu

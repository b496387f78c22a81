#pragma once
#include <cstddef>

#include "engine/device.h"

namespace loragrad::cpu {

/// The product where a's and b's types are equal and the library takes them: cut into tiles by c's shape alone, each a
/// product of the library's on one thread, so that no bit depends on the number of threads.
void multiply(Device&, const GemmArgs&, void* workspace);
std::size_t multiply_workspace(Device&, const GemmArgs&);

/// The part of a product that makes `rows` x `cols` of c from (row, col) on.
GemmArgs tile_of(GemmArgs g, std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols);
/// The dimension that is summed over.
inline std::int64_t inner(const GemmArgs& g) { return g.transpose_a ? g.a.rows : g.a.cols; }

}  // namespace loragrad::cpu

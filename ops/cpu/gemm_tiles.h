#pragma once
#include <cstddef>
#include <span>

#include "engine/device.h"

namespace loragrad::cpu {

/// Products none of which reads another's result, where a's and b's types are equal and the library takes them. Each is
/// cut into tiles, which are products of the library's on one thread, such that no bit depends on the number of
/// threads.
void multiply(Device&, std::span<const GemmArgs>, void* workspace);
std::size_t multiply_workspace(Device&, std::span<const GemmArgs>);

/// Whether multiply() takes the product, which lies in no panels.
bool is_tiled(const GemmArgs&);

/// The part of a product that makes `rows` x `cols` of c from (row, col) on.
GemmArgs tile_of(GemmArgs g, std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols);
/// The dimension that is summed over.
inline std::int64_t inner(const GemmArgs& g) { return g.transpose_a ? g.a.rows : g.a.cols; }

}  // namespace loragrad::cpu

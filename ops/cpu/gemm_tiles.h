#pragma once
#include <cstddef>
#include <span>

#include "engine/device.h"

namespace loragrad::cpu {

/// Products none of which reads another's result, all of one shape but for the last, where a's and b's types are equal
/// (or those of gemm_split.h) and the library takes them. Each is cut into tiles, which are products of the library's on one thread. The number of
/// threads changes no bit: where the cut depends on it, whole rows are cut whose bits do not depend on the cut.
void multiply(Device&, std::span<const GemmArgs>, void* workspace);
std::size_t multiply_workspace(Device&, std::span<const GemmArgs>);

/// One such product, whole, on the calling thread.
void multiply_here(const GemmArgs&, void* scratch);
std::size_t here_scratch(const GemmArgs&);

/// A dimension of n in pieces of `size`. A single row or column at the end belongs to the piece before it: libraries
/// treat products with one in their own way (docs/design/005).
struct Pieces {
  std::int64_t n, size;
  std::int64_t count() const { return n > 1 ? (n - 2 + size) / size : 1; }
  std::int64_t begin(std::int64_t i) const { return i * size; }
  std::int64_t length(std::int64_t i) const { return i + 1 < count() ? size : n - begin(i); }
};

/// What tiles mostly have: rows where they are of whole rows, and columns (gemm_tiles.cpp says why).
constexpr std::int64_t tallest_whole = 256, narrowest = 192;

/// Whether multiply() takes the product, which lies in no panels.
bool is_tiled(const GemmArgs&);

/// The part of a product that makes `rows` x `cols` of c from (row, col) on.
GemmArgs tile_of(GemmArgs g, std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols);

}  // namespace loragrad::cpu

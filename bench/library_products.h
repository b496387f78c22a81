#pragma once
#include "engine/kernels.h"

/// Matrix products by the library that the build multiplies with, in one piece and with the library's own threads: what
/// the engine's tiles (ops/cpu/gemm_tiles.h) are measured against. The build picks library_products_onednn.cpp or
/// library_products_openblas.cpp.
namespace loragrad::bench {

/// Whether the library takes these operands as they are.
bool library_takes(const GemmArgs& product);

/// One product (alpha 1) on `threads` threads. The first call of a shape may take longer.
void library_product(const GemmArgs& product, int threads);

}  // namespace loragrad::bench

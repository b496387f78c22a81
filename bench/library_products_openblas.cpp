#include <cblas.h>

#include "bench/library_products.h"

namespace loragrad::bench {

bool library_takes(const GemmArgs& g) { return g.a.dtype == DType::f32 && g.b.dtype == DType::f32; }

void library_product(const GemmArgs& g, int threads) {
  openblas_set_num_threads(threads);
  cblas_sgemm(CblasRowMajor, g.transpose_a ? CblasTrans : CblasNoTrans, g.transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<int>(g.c.rows), static_cast<int>(g.c.cols),
              static_cast<int>(g.transpose_a ? g.a.rows : g.a.cols), 1, static_cast<const float*>(g.a.data),
              static_cast<int>(g.a.stride), static_cast<const float*>(g.b.data), static_cast<int>(g.b.stride),
              static_cast<float>(g.beta), static_cast<float*>(g.c.data), static_cast<int>(g.c.stride));
  openblas_set_num_threads(1);  // as the engine needs it
}

}  // namespace loragrad::bench

#include <cblas.h>

#include "ops/cpu/blas_bias.h"
#include "ops/cpu/blas_buffer.h"
#include "ops/cpu/gemm_library.h"

namespace loragrad::cpu {

void blas_gemm_f64(const GemmArgs& args) {
  GemmArgs g = args;
  put_bias<double>(g);
  auto k = static_cast<int>(g.transpose_a ? g.a.rows : g.a.cols);
  BlasBuffer buffer;
  cblas_dgemm(CblasRowMajor, g.transpose_a ? CblasTrans : CblasNoTrans, g.transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<int>(g.c.rows), static_cast<int>(g.c.cols), k, g.alpha, static_cast<const double*>(g.a.data),
              static_cast<int>(g.a.stride), static_cast<const double*>(g.b.data), static_cast<int>(g.b.stride), g.beta,
              static_cast<double*>(g.c.data), static_cast<int>(g.c.stride));
}

}  // namespace loragrad::cpu

#include <cblas.h>

#include <string>

#include "engine/error.h"
#include "ops/cpu/blas_bias.h"
#include "ops/cpu/blas_buffer.h"
#include "ops/cpu/gemm_library.h"

namespace loragrad::cpu {

void library_gemm(const GemmArgs& args, void*, int threads) {
  if (args.a.dtype == DType::bf16) throw UsageError("gemm: this build multiplies bf16 matrices only after conversion");
  GemmArgs g = args;
  put_bias<float>(g);
  auto k = static_cast<int>(inner(g));
  BlasBuffer buffer;
  if (threads != 1) openblas_set_num_threads(threads);
  cblas_sgemm(CblasRowMajor, g.transpose_a ? CblasTrans : CblasNoTrans, g.transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<int>(g.c.rows), static_cast<int>(g.c.cols), k, static_cast<float>(g.alpha),
              static_cast<const float*>(g.a.data), static_cast<int>(g.a.stride), static_cast<const float*>(g.b.data),
              static_cast<int>(g.b.stride), static_cast<float>(g.beta), static_cast<float*>(g.c.data),
              static_cast<int>(g.c.stride));
  if (threads != 1) openblas_set_num_threads(1);
}

std::size_t library_scratch(const GemmArgs&, int) { return 0; }
bool library_rows_stand_alone(const GemmArgs&) { return false; }
bool library_has_bf16() { return false; }
bool library_has_bf16_tiles() { return false; }
std::size_t library_code_bytes(std::size_t) { return 0; }

std::string_view library_name() {
  // "OpenBLAS 0.3.21 ..." up to the second blank
  static const std::string name = [] {
    std::string config = openblas_get_config();
    auto end = config.find(' ', config.find(' ') + 1);
    return config.substr(0, end) + " with kernels for " + openblas_get_corename();
  }();
  return name;
}

}  // namespace loragrad::cpu

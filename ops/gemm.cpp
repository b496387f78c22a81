#include "ops/gemm.h"

#include <string>

#include "engine/error.h"

namespace loragrad {

void gemm(Device& device, const GemmArgs& args) { device.kernels().gemm(device, args); }

void check_gemm(const GemmArgs& g) {
  std::int64_t k = inner(g), k_b = g.transpose_b ? g.b.cols : g.b.rows, n = g.transpose_b ? g.b.rows : g.b.cols;
  std::int64_t m = g.transpose_a ? g.a.cols : g.a.rows;
  if (k != k_b || m != g.c.rows || n != g.c.cols)
    throw ShapeError("gemm: [" + std::to_string(m) + ", " + std::to_string(k) + "] times [" + std::to_string(k_b) +
                     ", " + std::to_string(n) + "] into [" + std::to_string(g.c.rows) + ", " +
                     std::to_string(g.c.cols) + "]");
  if (g.rows_alone && g.transpose_a) throw UsageError("gemm: rows alone of a transposed a");
}

}  // namespace loragrad

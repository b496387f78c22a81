#include "tests/ops/all_ops.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/ops/gradcheck.h"

namespace loragrad {
namespace {

/// For emulated processors: small cases, and neither threads nor the meta device.
bool is_quick() { return std::getenv("LORAGRAD_QUICK_OPS") != nullptr; }

}  // namespace

void check_op(const std::vector<OpCase>& cases) {
  CHECK(!cases.empty());
  for (const OpCase& op_case : cases) {
    if (is_quick() && !op_case.finite_differences) continue;
    CAPTURE(op_case.name);
    CHECK(gradient_failure(op_case) == "");
    for (DType dtype : {DType::f32, DType::bf16}) CHECK(precision_failure(op_case, dtype) == "");
    for (DType dtype : {DType::f64, DType::bf16}) CHECK(device_failure(op_case, dtype) == "");
    if (is_quick()) continue;
    for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      CHECK(thread_failure(op_case, dtype) == "");
      CHECK(meta_failure(op_case, dtype) == "");
    }
  }
}

}  // namespace loragrad

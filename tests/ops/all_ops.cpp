#include "tests/ops/all_ops.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string_view>

#include "tests/ops/gradcheck.h"

namespace loragrad {
namespace {

/// "values": neither threads nor the meta device; "small": of small cases alone.
std::string_view checks() {
  const char* wanted = std::getenv("LORAGRAD_OP_CHECKS");
  return wanted ? wanted : "all";
}

}  // namespace

void check_op(const std::vector<OpCase>& cases) {
  CHECK(!cases.empty());
  for (const OpCase& op_case : cases) {
    if (checks() == "small" && !op_case.finite_differences) continue;
    CAPTURE(op_case.name);
    CHECK(gradient_failure(op_case) == "");
    for (DType dtype : {DType::f32, DType::bf16}) CHECK(precision_failure(op_case, dtype) == "");
    for (DType dtype : {DType::f64, DType::bf16}) CHECK(device_failure(op_case, dtype) == "");
    if (checks() != "all") continue;
    for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      CHECK(thread_failure(op_case, dtype) == "");
      CHECK(meta_failure(op_case, dtype) == "");
    }
  }
}

}  // namespace loragrad

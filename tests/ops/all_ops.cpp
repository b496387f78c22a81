#include "tests/ops/all_ops.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string_view>

#include "tests/ops/gradcheck.h"

namespace loragrad {
namespace {

/// "values": neither threads nor the meta device; "small": of small samples alone.
std::string_view checks() {
  const char* wanted = std::getenv("LORAGRAD_OP_CHECKS");
  return wanted ? wanted : "all";
}

}  // namespace

void check_op(const std::vector<Sample>& samples) {
  CHECK(!samples.empty());
  for (const Sample& sample : samples) {
    if (checks() == "small" && !sample.finite_differences) continue;
    CAPTURE(sample.name);
    CHECK(gradient_failure(sample) == "");
    for (DType dtype : {DType::f32, DType::bf16}) CHECK(precision_failure(sample, dtype) == "");
    for (DType dtype : {DType::f64, DType::bf16}) CHECK(device_failure(sample, dtype) == "");
    if (checks() != "all") continue;
    for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      CHECK(thread_failure(sample, dtype) == "");
      CHECK(meta_failure(sample, dtype) == "");
    }
  }
}

}  // namespace loragrad

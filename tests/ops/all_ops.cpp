#include "tests/ops/all_ops.h"

#include <doctest/doctest.h>

#include "tests/ops/gradcheck.h"

namespace loragrad {

void check_op(const std::vector<Sample>& samples) {
  CHECK(!samples.empty());
  for (const Sample& sample : samples) {
    CAPTURE(sample.name);
    CHECK(gradient_failure(sample) == "");
    for (DType dtype : {DType::f32, DType::bf16}) CHECK(precision_failure(sample, dtype) == "");
    for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      CHECK(thread_failure(sample, dtype) == "");
      CHECK(meta_failure(sample, dtype) == "");
    }
  }
}

}  // namespace loragrad

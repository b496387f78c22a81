#include "tests/ops/all_ops.h"

#include <doctest/doctest.h>

#include "tests/ops/gradcheck.h"

using namespace loragrad;

namespace {

template <class Check>
void check_all(Check check) {
  for (const OpSamples& entry : all_ops()) {
    CAPTURE(entry.op);
    CHECK(!entry.samples.empty());
    for (const Sample& sample : entry.samples) {
      CAPTURE(sample.name);
      CHECK(check(sample) == "");
    }
  }
}

}  // namespace

TEST_CASE("every op: gradients agree with finite differences") { check_all(gradient_failure); }

TEST_CASE("every op: f32 agrees with f64") {
  check_all([](const Sample& s) { return precision_failure(s, DType::f32); });
}

TEST_CASE("every op: bf16 agrees with f64") {
  check_all([](const Sample& s) { return precision_failure(s, DType::bf16); });
}

TEST_CASE("every op: the number of threads changes no bit") {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16})
    check_all([dtype](const Sample& s) { return thread_failure(s, dtype); });
}

TEST_CASE("every op: the meta device counts at least what the processor takes") {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16})
    check_all([dtype](const Sample& s) { return meta_failure(s, dtype); });
}

TEST_CASE("every op: operands on two devices are refused") {
  for (DType dtype : {DType::f64, DType::bf16})
    check_all([dtype](const Sample& s) { return device_failure(s, dtype); });
}

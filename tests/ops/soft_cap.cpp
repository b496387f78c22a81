#include "ops/soft_cap.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/error.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

using namespace loragrad;

TEST_CASE_TEMPLATE("a soft cap is cap tanh(x / cap), in place, and keeps a NaN", T, float, double) {
  Setting s{test_device(2), dtype_of<T>, 1};
  double cap = 2.5, inf = std::numeric_limits<double>::infinity();
  for (Shape shape : {Shape{1, 1}, {3, 7}, {5, 64}, {40, 1000}}) {
    CAPTURE(shape.text());
    std::vector<double> x = s.normal(shape.numel(), 2);
    for (double& value : x) value *= 3;
    x.front() = std::nan(""), x.back() = shape.numel() > 1 ? -inf : x.back();
    Tensor y = make_tensor(s.device, shape, dtype_of<T>, x);
    soft_cap(y, cap);
    std::vector<double> found = read_values(y);
    for (std::size_t i = 1; i < x.size(); ++i)
      CHECK(found[i] == doctest::Approx(cap * std::tanh(x[i] / cap)).epsilon(sizeof(T) == 4 ? 2e-6 : 1e-14));
    CHECK(std::isnan(found.front()));
  }
}

TEST_CASE("a soft cap of other types, or of nothing, is refused") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor x = s.constant({2, 3}, 1), narrow = x.to(DType::bf16);
  CHECK_THROWS_WITH_AS(soft_cap(narrow, 1), "soft_cap: expected f32 or f64, found bf16", ShapeError);
  CHECK_THROWS_WITH_AS(soft_cap(x, 0), "soft_cap: expected a cap above 0, found 0.000000", ShapeError);
}

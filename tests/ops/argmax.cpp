#include "ops/argmax.h"

#include <doctest/doctest.h>

#include <limits>

#include "engine/error.h"
#include "engine/kernels.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

using namespace loragrad;

TEST_CASE_TEMPLATE("argmax is each row's first largest column, and -1 beside a NaN", T, float, double) {
  DevicePtr device = test_device(2);
  constexpr T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  for (std::int64_t cols : {1, 5, 63, 64, 65, 1000, 2003}) {
    CAPTURE(cols);
    auto n = static_cast<std::size_t>(cols);
    std::vector<T> values(7 * n, T(-3));
    auto at = [&](std::size_t row, std::size_t col) -> T& { return values[row * n + col]; };
    at(1, n - 1) = T(-2);
    at(2, n / 2) = T(4), at(2, n - 1) = T(4);
    at(3, n / 3) = nan, at(3, 0) = cols > 1 ? inf : nan;
    for (std::size_t col = 0; col < n; ++col) at(4, col) = -inf;
    at(5, n / 3) = inf;
    at(6, n - 1) = nan;
    Tensor x = Tensor::from(device, {7, cols}, values);
    auto id = [](std::size_t col) { return static_cast<std::int32_t>(col); };
    CHECK(argmax(x) == std::vector<std::int32_t>{0, id(n - 1), id(n / 2), -1, 0, id(n / 3), -1});
    if (cols < 10) continue;
    // Columns of a wider matrix.
    CHECK(argmax(x.cols(cols / 3, 2)) == std::vector<std::int32_t>{0, 0, 0, -1, 0, 0, 0});
  }
}

TEST_CASE("argmax of no rows is nothing, and of what has no order an error") {
  DevicePtr device = test_device(1);
  CHECK(argmax(Tensor::zeros(device, {0, 3}, DType::f32)).empty());
  CHECK_THROWS_WITH_AS(argmax(Tensor::zeros(device, {2, 0}, DType::f32)),
                       "argmax: expected columns of f32 or f64, found [2, 0] of f32", ShapeError);
  CHECK_THROWS_AS(argmax(Tensor::zeros(device, {2, 3}, DType::bf16)), ShapeError);
}

TEST_CASE("rows are put where they belong, the others stay") {
  DevicePtr device = test_device(2);
  for (DType dtype : {DType::f32, DType::bf16, DType::f64})
    for (std::int64_t cols : {1, 3, 300}) {
      Setting s{device, dtype, 5};
      Tensor x = s.constant({3, cols}, 1), y = s.constant({6, cols}, 2);
      std::vector<double> wanted = read_values(y), from = read_values(x);
      std::vector<std::int32_t> rows{4, 0, 3};
      Tensor places = Tensor::from(device, {3, 1}, rows);
      device->kernels().put_rows(*device,
                                 {.x = x.matrix(), .rows = places.data<std::int32_t>(), .y = y.mutable_matrix()});
      for (std::size_t t = 0; t < 3; ++t)
        for (std::size_t c = 0; c < static_cast<std::size_t>(cols); ++c)
          wanted[static_cast<std::size_t>(rows[t] * cols) + c] = from[t * static_cast<std::size_t>(cols) + c];
      CHECK(read_values(y) == wanted);
    }
}

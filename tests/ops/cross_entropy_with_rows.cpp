#include "ops/cross_entropy_with_rows.h"

#include <doctest/doctest.h>

#include "engine/error.h"
#include "ops/elementwise.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

using Inputs = std::vector<Tensor>;

Targets targets(const Setting& s, std::int64_t rows, std::int64_t vocab) {
  std::vector<std::int32_t> ids = s.indices(rows, vocab, 9).values<std::int32_t>();
  for (std::int64_t t = 0; t < rows; ++t)
    if (t % 5 == 1) ids[static_cast<std::size_t>(t)] = -100;
  return make_targets(s.device, ids);
}

/// Every other row of the head, the last first.
std::vector<std::int32_t> rows_of(std::int64_t count) {
  std::vector<std::int32_t> ids;
  for (auto k = static_cast<std::int32_t>(count); k > 0; --k) ids.push_back(2 * k - 1);
  return ids;
}

}  // namespace

std::vector<OpCase> cross_entropy_with_rows_cases() {
  auto with = [](std::int64_t vocab, double cap) {
    return [=](const Inputs& in, const Setting& s) {
      HeadWithRows head(Weight(s.constant({vocab, in[0].cols()}, 1)), rows_of(in[1].rows()), in[1]);
      return scale(cross_entropy_with_rows(s.compute(in[0]), head, targets(s, in[0].rows(), vocab), 3, cap).loss, 2);
    };
  };
  return {{.name = "3 of 11", .inputs = {{6, 4}, {3, 4}}, .run = with(11, 0)},
          {.name = "one of two", .inputs = {{1, 1}, {1, 1}}, .run = with(2, 0)},
          {.name = "capped", .inputs = {{7, 3}, {2, 3}}, .run = with(5, 1.5)},
          {.name = "no tokens", .inputs = {{0, 4}, {3, 4}}, .run = with(11, 0)},
          {.name = "large",
           .inputs = {{150, 40}, {21, 40}},
           .run = with(517, 0),
           .finite_differences = false,
           .f32_tolerance = 1e-5,
           .bf16_tolerance = 6e-2}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("a head with rows is the head with those rows, whatever they become, of every type") {
  DevicePtr device = test_device(1);
  for (DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    CAPTURE(name_of(dtype));
    Setting s{device, dtype, 3};
    std::vector<double> table = s.normal(11 * 4, 1), x = s.normal(5 * 4, 2);
    Tensor values = Tensor::zeros(device, {2, 4}, s.leaf_dtype());
    HeadWithRows head(Weight(make_tensor(device, {11, 4}, dtype, table)), {7, 2}, values);
    values.fill(0.5);  // as a training does
    for (int k = 0; k < 4; ++k)
      table[static_cast<std::size_t>(7 * 4 + k)] = table[static_cast<std::size_t>(2 * 4 + k)] = 0.5;
    Tensor in = make_tensor(device, {5, 4}, dtype, x);
    Targets wanted = make_targets(device, std::vector<std::int32_t>{7, 0, -1, 10, 2});
    double expected = cross_entropy(in, Weight(make_tensor(device, {11, 4}, dtype, table)), wanted, 4).sum.item();
    CHECK(cross_entropy_with_rows(in, head, wanted, 4).sum.item() == doctest::Approx(expected).epsilon(1e-6));
    CHECK(head.weight().shape().cols == 4);
    CHECK(head.weight().shape().rows == 11);
  }
}

TEST_CASE("a head with rows refuses what does not fit") {
  DevicePtr device = test_device(1);
  auto zeros = [&](Shape shape) { return Tensor::zeros(device, shape, DType::f32); };
  CHECK_THROWS_AS(HeadWithRows(Weight(zeros({3, 2})), {1}, zeros({2, 2})), ShapeError);
  CHECK_THROWS_AS(HeadWithRows(Weight(zeros({3, 2})), {1}, zeros({1, 3})), ShapeError);
  HeadWithRows head(Weight(zeros({3, 2})), {1}, zeros({1, 2}));
  CHECK_THROWS_AS(cross_entropy_with_rows(zeros({1, 3}), head, make_targets(device, std::vector<std::int32_t>{1}), 1),
                  ShapeError);
}

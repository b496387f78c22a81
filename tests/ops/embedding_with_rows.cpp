#include "ops/embedding_with_rows.h"

#include <doctest/doctest.h>

#include "engine/error.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {

std::vector<OpCase> embedding_with_rows_cases() {
  auto rows = [](std::vector<std::int32_t> tokens, std::vector<std::int32_t> slots, double scale) {
    return [=](const std::vector<Tensor>& in, const Setting& s) {
      Shape column{static_cast<std::int64_t>(tokens.size()), 1};
      RowsInPlace rows{in[0], s.integers(column, tokens), s.integers(column, slots)};
      return embedding_with_rows(s.indices(9, 6, 3), Weight(s.constant({6, in[0].cols()}, 4)), rows, s.dtype, scale);
    };
  };
  return {{.name = "a row twice, one never", .inputs = {{3, 5}}, .run = rows({1, 4, 8}, {2, 0, 2}, 1)},
          {.name = "scaled", .inputs = {{1, 1}}, .run = rows({0}, {0}, 2.5)},
          {.name = "no such token", .inputs = {{2, 3}}, .run = rows({}, {}, 1)}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("rows in the place of a table's, by hand") {
  DevicePtr device = test_device(1);
  auto values = [&](Shape shape, std::vector<float> list) { return Tensor::from(device, shape, std::move(list)); };
  auto column = [&](std::vector<std::int32_t> list) {
    return Tensor::from(device, {static_cast<std::int64_t>(list.size()), 1}, list);
  };
  Weight table(values({3, 2}, {1, 2, 3, 4, 5, 6}));
  RowsInPlace rows{values({1, 2}, {10, 20}), column({1}), column({0})};
  CHECK(embedding_with_rows(column({0, 2, 1}), table, rows, DType::f32, 2).values<float>() ==
        std::vector<float>{2, 4, 20, 40, 6, 8});
  rows.values = values({1, 3}, {1, 2, 3});
  CHECK_THROWS_AS(embedding_with_rows(column({0, 2, 1}), table, rows, DType::f32), ShapeError);
}

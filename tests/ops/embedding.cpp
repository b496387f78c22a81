#include "ops/embedding.h"

#include <doctest/doctest.h>

#include <cstring>

#include "engine/error.h"
#include "engine/place.h"
#include "ops/elementwise.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {

std::vector<OpCase> embedding_cases() {
  auto lookup = [](std::int64_t tokens) {
    return [tokens](const std::vector<Tensor>& in, const Setting& s) {
      return embedding(s.indices(tokens, in[0].rows(), 3), in[0], s.dtype);
    };
  };
  auto scaled = [](const std::vector<Tensor>& in, const Setting& s) {
    return embedding(s.indices(9, in[0].rows(), 3), in[0], s.dtype, 2.5);
  };
  auto frozen = [](const std::vector<Tensor>& in, const Setting& s) {  // the table has no gradient; what is added has
    return add(embedding(s.indices(in[0].rows(), 6, 3), Weight(s.constant({6, in[0].cols()}, 4)), s.leaf_dtype()),
               in[0]);
  };
  return {{.name = "ids that repeat", .inputs = {{4, 5}}, .run = lookup(9)},
          {.name = "one id", .inputs = {{1, 1}}, .run = lookup(1)},
          {.name = "scaled", .inputs = {{4, 5}}, .run = scaled},
          {.name = "no tokens", .inputs = {{4, 5}}, .run = lookup(0)},
          {.name = "frozen", .inputs = {{5, 3}}, .run = frozen},
          {.name = "large", .inputs = {{97, 515}}, .run = lookup(301), .finite_differences = false}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("a frozen table is read in place, at any byte, in any type") {
  DevicePtr device = test_device(1);
  std::int32_t two[] = {1, 0};
  Tensor ids = Tensor::from(device, {2, 1}, two);
  std::vector<float> wanted{3, -0.5, 1, 2};
  auto look_up = [&](const auto& values, DType dtype) {
    auto bytes = std::make_shared<std::vector<char>>(sizeof(values) + 1);
    std::memcpy(bytes->data() + 1, values, sizeof(values));
    Weight table = place(device, {bytes->data() + 1, sizeof(values), bytes}, dtype, {2, 2}, dtype);
    return embedding(ids, table, DType::f32).values<float>();
  };
  float f32[] = {1, 2, 3, -0.5};
  double f64[] = {1, 2, 3, -0.5};
  std::uint16_t halves[] = {0x3c00, 0x4000, 0x4200, 0xb800}, brains[] = {0x3f80, 0x4000, 0x4040, 0xbf00};
  CHECK(look_up(f32, DType::f32) == wanted);
  CHECK(look_up(f64, DType::f64) == wanted);
  CHECK(look_up(halves, DType::f16) == wanted);
  CHECK(look_up(brains, DType::bf16) == wanted);
  auto kept = std::make_shared<std::vector<float>>(f32, f32 + 4);
  Weight table = place(device, {kept->data(), sizeof f32, kept}, DType::f32, {2, 2}, DType::f32);
  CHECK(embedding(ids, table, DType::f32, 3).values<float>() == std::vector<float>{9, -1.5, 3, 6});
}

TEST_CASE("embedding refuses ids of another type") {
  DevicePtr device = test_device(1);
  Tensor table = Tensor::zeros(device, {4, 2}, DType::f32);
  CHECK_THROWS_AS(embedding(Tensor::zeros(device, {3, 1}, DType::f32), table, DType::f32), ShapeError);
  CHECK_THROWS_AS(embedding(Tensor::zeros(device, {3, 2}, DType::i32), table, DType::f32), ShapeError);
}

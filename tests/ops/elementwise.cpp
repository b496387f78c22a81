#include "ops/elementwise.h"

#include <doctest/doctest.h>

#include "engine/backward.h"
#include "engine/error.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {

using Inputs = std::vector<Tensor>;

std::vector<OpCase> add_cases() {
  auto both = [](const Inputs& in, const Setting& s) { return add(s.compute(in[0]), s.compute(in[1])); };
  auto mixed = [](const Inputs& in, const Setting& s) { return add(in[0], s.compute(in[1])); };
  auto twice = [](const Inputs& in, const Setting&) { return add(in[0], in[0]); };
  auto columns = [](const Inputs& in, const Setting& s) {  // overlapping: both add to the same gradient
    Tensor x = s.compute(in[0]);
    return add(x.cols(0, 3), x.cols(2, 3));
  };
  auto rows = [](const Inputs& in, const Setting& s) {  // of the second row and the fifth column nobody asks
    Tensor x = s.compute(in[0]).cols(1, 3);
    return add(x.rows(0, 1).reshape({3, 1}), x.rows(2, 1).reshape({3, 1}));
  };
  return {{.name = "add 3x5", .inputs = {{3, 5}, {3, 5}}, .run = both},
          {.name = "add 1x1", .inputs = {{1, 1}, {1, 1}}, .run = both},
          {.name = "add no rows", .inputs = {{0, 4}, {0, 4}}, .run = both},
          {.name = "add f32 + branch", .inputs = {{4, 7}, {4, 7}}, .run = mixed},
          {.name = "add x + x", .inputs = {{2, 3}}, .run = twice},
          {.name = "add columns", .inputs = {{3, 5}}, .run = columns},
          {.name = "add rows of columns", .inputs = {{3, 5}}, .run = rows},
          {.name = "add many columns", .inputs = {{9001, 5}}, .run = columns, .finite_differences = false},
          {.name = "add large", .inputs = {{301, 515}, {301, 515}}, .run = both, .finite_differences = false}};
}

std::vector<OpCase> scale_cases() {
  auto run = [](const Inputs& in, const Setting& s) { return scale(s.compute(in[0]), -0.75); };
  return {{.name = "scale 3x5", .inputs = {{3, 5}}, .run = run},
          {.name = "scale no rows", .inputs = {{0, 5}}, .run = run},
          {.name = "scale large", .inputs = {{301, 515}}, .run = run, .finite_differences = false}};
}

std::vector<OpCase> cast_cases() {
  auto run = [](const Inputs& in, const Setting& s) { return cast(scale(cast(in[0], s.dtype), 2), s.leaf_dtype()); };
  return {{.name = "cast 3x5", .inputs = {{3, 5}}, .run = run},
          {.name = "cast no rows", .inputs = {{0, 5}}, .run = run}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("add names both shapes") {
  DevicePtr device = test_device(1);
  Tensor a = Tensor::zeros(device, {2, 3}, DType::f32), b = Tensor::zeros(device, {3, 2}, DType::f32);
  CHECK_THROWS_WITH_AS(add(a, b), "add: a is [2, 3], b is [3, 2]", ShapeError);
  CHECK_THROWS_AS(add(a, Tensor::zeros(test_device(1), {2, 3}, DType::f32)), ShapeError);
  CHECK_THROWS_AS(add(a, Tensor::zeros(device, {2, 3}, DType::i32)), ShapeError);
}

TEST_CASE("constants leave no node") {
  Tensor x = Tensor::zeros(test_device(1), {2, 3}, DType::f32);
  CHECK(!add(x, x).needs_grad());
  CHECK(!scale(x.cols(0, 2), 2).needs_grad());
}

TEST_CASE("x + x gives a gradient of two, and dy itself is not changed") {
  DevicePtr device = test_device(1);
  Tensor x = Tensor::zeros(device, {1, 3}, DType::f32).set_trainable(), dy = Tensor::zeros(device, {1, 3}, DType::f32);
  dy.fill(1);
  backward(add(x, x), dy);
  CHECK(x.grad().values<float>() == std::vector<float>{2, 2, 2});
  CHECK(dy.values<float>() == std::vector<float>{1, 1, 1});
}

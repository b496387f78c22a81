#include "ops/linear.h"

#include <doctest/doctest.h>

#include "engine/backward.h"
#include "engine/error.h"
#include "ops/norm.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

using Inputs = std::vector<Tensor>;
constexpr auto in_out = WeightLayout::in_out;

Tensor frozen(const Inputs& in, const Setting& s) {
  return linear(s.compute(in[0]), Weight(s.constant({5, in[0].cols()}, 1)), Weight(s.parameter({1, 5}, 2)));
}
Tensor frozen_conv1d(const Inputs& in, const Setting& s) {
  return linear(s.compute(in[0]), Weight(s.constant({in[0].cols(), 5}, 1), in_out), Weight());
}
/// A weight in another type than the activations: converted some rows at a time.
Tensor frozen_other_type(const Inputs& in, const Setting& s) {
  Tensor w = s.parameter({300, in[0].cols()}, 1).to(s.dtype == DType::bf16 ? DType::f32 : DType::bf16);
  return linear(s.compute(in[0]), Weight(w), Weight(s.parameter({1, 300}, 2)));
}
Tensor trained(const Inputs& in, const Setting& s) { return linear(s.compute(in[0]), in[1], in[2]); }
Tensor trained_conv1d(const Inputs& in, const Setting& s) {
  return linear(s.compute(in[0]), Parameter(in[1], in_out), {});
}
Tensor trained_bias(const Inputs& in, const Setting& s) {
  return linear(s.compute(in[0]), Weight(s.constant({5, in[0].cols()}, 1)), in[1]);
}
Tensor trained_weight(const Inputs& in, const Setting& s) {
  return linear(s.compute(in[0]), in[1], Weight(s.parameter({1, 5}, 2)));
}
Tensor long_inner(const Inputs& in, const Setting& s) {  // dx = dy W with more than 4096 rows of W: in blocks
  return linear(s.compute(in[0]), Weight(s.constant({5000, in[0].cols()}, 1)), Weight());
}

}  // namespace

std::vector<OpCase> linear_cases() {
  return {{.name = "frozen 3x7", .inputs = {{3, 7}}, .run = frozen},
          {.name = "frozen 1x1", .inputs = {{1, 1}}, .run = frozen},
          {.name = "frozen no rows", .inputs = {{0, 7}}, .run = frozen},
          {.name = "frozen [in, out]", .inputs = {{6, 3}}, .run = frozen_conv1d},
          {.name = "frozen, other type", .inputs = {{2, 3}}, .run = frozen_other_type},
          {.name = "trained 3x7", .inputs = {{3, 7}, {5, 7}, {1, 5}}, .run = trained},
          {.name = "trained no rows", .inputs = {{0, 7}, {5, 7}, {1, 5}}, .run = trained},
          {.name = "trained [in, out]", .inputs = {{4, 3}, {3, 5}}, .run = trained_conv1d},
          {.name = "frozen weight, trained bias", .inputs = {{3, 7}, {1, 5}}, .run = trained_bias},
          {.name = "trained weight, frozen bias", .inputs = {{3, 7}, {5, 7}}, .run = trained_weight},
          {.name = "ragged tiles",
           .inputs = {{171, 33}},
           .run = frozen,
           .finite_differences = false,
           .f32_tolerance = 1e-5},
          {.name = "large trained",
           .inputs = {{301, 65}, {131, 65}, {1, 131}},
           .run = trained,
           .finite_differences = false,
           .f32_tolerance = 1e-5,
           .bf16_tolerance = 4e-2},
          {.name = "long inner dimension",
           .inputs = {{3, 17}},
           .run = long_inner,
           .finite_differences = false,
           .f32_tolerance = 1e-5,
           .bf16_tolerance = 4e-2}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("linear names both shapes when they do not fit") {
  DevicePtr device = test_device(1);
  Tensor x = Tensor::zeros(device, {2, 3}, DType::f32), w = Tensor::zeros(device, {5, 4}, DType::f32);
  CHECK_THROWS_WITH_AS(linear(x, Weight(w), Weight()), doctest::Contains("[2, 3]"), ShapeError);
  CHECK_THROWS_WITH_AS(linear(x, w, Tensor()), doctest::Contains("[5, 4]"), ShapeError);
  CHECK_THROWS_WITH_AS(linear(x, {}, {}), "linear: no weight for x [2, 3]", ShapeError);
  Tensor elsewhere = Tensor::zeros(test_device(1), {5, 3}, DType::f32),
         here = Tensor::zeros(device, {5, 3}, DType::f32);
  CHECK_THROWS_WITH_AS(linear(x, elsewhere, {}), doctest::Contains("linear: operands are on different devices ("),
                       ShapeError);
  CHECK_THROWS_AS(linear(x, here, Tensor::zeros(test_device(1), {1, 5}, DType::f32)), ShapeError);
}

TEST_CASE("linear and norms take a vector as one row, and refuse a column, whose numbers may lie apart") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor x = s.parameter({2, 3}, 1), w = s.parameter({4, 3}, 2), wide = s.parameter({4, 2}, 3);
  CHECK_THROWS_WITH_AS(linear(x, w, wide.cols(0, 1)), "linear: bias [4, 1] does not fit w [4, 3] (out = 4)",
                       ShapeError);
  CHECK_THROWS_AS(rms_norm(x, s.parameter({3, 2}, 4).cols(0, 1), 1e-5, DType::f32), ShapeError);
  CHECK(linear(x, w, s.parameter({3, 4}, 5).rows(1, 1)).cols() == 4);
}

TEST_CASE("linear refuses a bias of another type, and without features it is the bias") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor x = s.parameter({2, 3}, 1), w = s.parameter({4, 3}, 2), bias = s.parameter({1, 4}, 3);
  CHECK_THROWS_WITH_AS(linear(x, Weight(w), Weight(bias.to(DType::bf16))),
                       "linear: bias: expected f32 beside x of f32, found bf16", ShapeError);
  CHECK_THROWS_AS(linear(s.integers({2, 3}, {1, 2, 3, 4, 5, 6}), Weight(w), Weight()), ShapeError);
  Tensor y = linear(s.parameter({2, 0}, 1), Weight(s.parameter({4, 0}, 2)), Weight(bias));
  std::vector<float> twice = bias.values<float>(), once = twice;
  twice.insert(twice.end(), once.begin(), once.end());
  CHECK(y.values<float>() == twice);
}

TEST_CASE("a frozen linear keeps nothing and never allocates a weight's size in backward") {
  DevicePtr device = test_device(1);
  Tensor x = Tensor::zeros(device, {3, 64}, DType::f32);
  x.set_trainable();
  Tensor w = Tensor::zeros(device, {512, 64}, DType::f32);
  Tensor y = linear(x, Weight(w), Weight());
  for_each_node(y, [](const Node& node) { CHECK(node.saved_bytes() == 0); });
  Tensor dy = Tensor::zeros(device, y.shape(), DType::f32);
  device->memory().reset_peak();
  backward(y, dy);
  CHECK(device->memory().largest() < w.bytes());
}

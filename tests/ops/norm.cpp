#include "ops/norm.h"

#include <doctest/doctest.h>

#include "engine/backward.h"
#include "engine/error.h"
#include "engine/node.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

using Inputs = std::vector<Tensor>;
constexpr double eps = 1e-5;

Tensor frozen_layer(const Inputs& in, const Setting& s) {
  Shape row{1, in[0].cols()};
  return layer_norm(s.compute(in[0]), Weight(s.parameter(row, 1)), Weight(s.parameter(row, 2)), eps, s.dtype);
}
Tensor layer(const Inputs& in, const Setting& s) { return layer_norm(s.compute(in[0]), in[1], in[2], eps, s.dtype); }
Tensor layer_without_bias(const Inputs& in, const Setting& s) {
  return layer_norm(in[0], in[1], Tensor(), eps, s.dtype);  // x stays f32 with bf16 results
}
Tensor layer_with_trained_bias(const Inputs& in, const Setting& s) {
  return layer_norm(s.compute(in[0]), Weight(s.parameter({1, in[0].cols()}, 1)), in[1], eps, s.dtype);
}
Tensor frozen_rms(const Inputs& in, const Setting& s) {
  return rms_norm(in[0], Weight(s.parameter({1, in[0].cols()}, 1)), eps, s.dtype);
}
Tensor rms(const Inputs& in, const Setting& s) { return rms_norm(s.compute(in[0]), in[1], eps, s.dtype); }
Tensor frozen_offset(const Inputs& in, const Setting& s) {
  return rms_norm(in[0], Weight(s.parameter({1, in[0].cols()}, 1)), eps, s.dtype, 1);
}
Tensor offset(const Inputs& in, const Setting& s) { return rms_norm(s.compute(in[0]), in[1], eps, s.dtype, -0.5); }

}  // namespace

std::vector<OpCase> layer_norm_cases() {
  return {
      {.name = "frozen 3x7", .inputs = {{3, 7}}, .run = frozen_layer},
      {.name = "frozen no rows", .inputs = {{0, 7}}, .run = frozen_layer},
      {.name = "3x7", .inputs = {{3, 7}, {1, 7}, {1, 7}}, .run = layer},
      {.name = "1x2", .inputs = {{1, 2}, {1, 2}, {1, 2}}, .run = layer, .f32_tolerance = 2e-5, .bf16_tolerance = 5e-2},
      {.name = "no rows", .inputs = {{0, 7}, {1, 7}, {1, 7}}, .run = layer},
      {.name = "several tiles",
       .inputs = {{19, 3}, {1, 3}, {1, 3}},
       .run = layer,
       .f32_tolerance = 2e-4,
       .bf16_tolerance = 5e-2},
      {.name = "no bias", .inputs = {{3, 18}, {1, 18}}, .run = layer_without_bias},
      {.name = "frozen weight, trained bias", .inputs = {{3, 7}, {1, 7}}, .run = layer_with_trained_bias},
      {.name = "large", .inputs = {{301, 515}, {1, 515}, {1, 515}}, .run = layer, .finite_differences = false}};
}

std::vector<OpCase> rms_norm_cases() {
  return {
      {.name = "frozen 3x7", .inputs = {{3, 7}}, .run = frozen_rms},
      {.name = "3x7", .inputs = {{3, 7}, {1, 7}}, .run = rms},
      {.name = "1x1", .inputs = {{1, 1}, {1, 1}}, .run = rms, .away_from_zero = 0.1},
      {.name = "no rows", .inputs = {{0, 7}, {1, 7}}, .run = rms},
      {.name = "several tiles", .inputs = {{19, 3}, {1, 3}}, .run = rms, .f32_tolerance = 2e-5, .bf16_tolerance = 5e-2},
      {.name = "frozen, offset 1", .inputs = {{3, 7}}, .run = frozen_offset},
      {.name = "offset", .inputs = {{3, 7}, {1, 7}}, .run = offset},
      {.name = "offset, aligned", .inputs = {{5, 64}, {1, 64}}, .run = offset, .f32_tolerance = 1e-5},
      {.name = "large, offset", .inputs = {{301, 516}, {1, 516}}, .run = offset, .finite_differences = false},
      {.name = "large", .inputs = {{301, 515}, {1, 515}}, .run = rms, .finite_differences = false}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("norms of a known row") {
  DevicePtr device = test_device(1);
  Tensor x = make_tensor(device, {1, 4}, DType::f64, {1, 2, 3, 6}),
         w = make_tensor(device, {1, 4}, DType::f64, {1, 1, 2, 1});
  Tensor b = make_tensor(device, {1, 4}, DType::f64, {0, 0, 0, 5});
  std::vector<double> layer = layer_norm(x, Weight(w), Weight(b), 0.5, DType::f64).values<double>();  // mean 3, var 3.5
  CHECK(layer == std::vector<double>{-1, -0.5, 0, 6.5});
  std::vector<double> rms = rms_norm(x, Weight(w), 3.5, DType::f64).values<double>();  // mean of squares 12.5
  CHECK(rms == std::vector<double>{0.25, 0.5, 1.5, 1.5});
  std::vector<double> more = rms_norm(x, Weight(w), 3.5, DType::f64, 1).values<double>();
  CHECK(more == std::vector<double>{0.5, 1, 2.25, 3});
}

TEST_CASE("a norm's output is computed again from its input and statistics, bit for bit") {
  for (DType dtype : {DType::f32, DType::bf16}) {
    Setting s{test_device(1), DType::f32, 1};
    Tensor x = s.parameter({5, 33}, 1).set_trainable();
    Weight w(s.parameter({1, 33}, 2)), b(s.parameter({1, 33}, 3));
    for (const Tensor& y :
         {layer_norm(x, w, b, 1e-5, dtype), rms_norm(x, w, 1e-6, dtype), rms_norm(x, w, 1e-6, dtype, 1)}) {
      CHECK(Saved(y).bytes() == 0);
      CHECK(read_values(Saved(y).get("test")) == read_values(y));
    }
  }
}

TEST_CASE("a weight changed between forward and backward is noticed") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor x = s.parameter({5, 3}, 1).set_trainable(), w = s.parameter({1, 3}, 2).set_trainable();
  Tensor y = rms_norm(x, w, 1e-6, DType::f32);
  w.fill(1);
  CHECK_THROWS_AS(backward(y, s.parameter({5, 3}, 4)), UsageError);
}

TEST_CASE("norms refuse weights that do not fit") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor x = s.parameter({5, 3}, 1);
  CHECK_THROWS_WITH_AS(rms_norm(x, Weight(s.parameter({1, 4}, 2)), 1e-6, DType::f32),
                       "rms_norm: w [1, 4] does not fit x [5, 3]", ShapeError);
  CHECK_THROWS_AS(rms_norm(x, Weight(s.parameter({1, 3}, 2).to(DType::bf16)), 1e-6, DType::f32), ShapeError);
  CHECK_THROWS_AS(rms_norm(x, Weight(), 1e-6, DType::f32), ShapeError);
}

#include "ops/rope.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/error.h"
#include "ops/elementwise.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

Tensor frequencies(const DevicePtr& device, std::int64_t count) {
  std::vector<double> f;
  for (std::int64_t i = 0; i < count; ++i)
    f.push_back(std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(count)));
  return Tensor::from(device, {1, count}, f);
}

/// Of `rows` random positions, for the first `rotated` dimensions of a head.
Tensor turns(const Setting& s, std::int64_t rows, std::int64_t rotated, DType dtype) {
  return rotations(s.indices(rows, 131072, 7), frequencies(s.device, rotated / 2), dtype);
}

}  // namespace

// It has no gradient: its values are looked at beside something that has one.
std::vector<OpCase> rotations_cases() {
  auto run = [](const std::vector<Tensor>& in, const Setting& s) {
    return add(in[0], turns(s, in[0].rows(), in[0].cols(), s.dtype));
  };
  return {{.name = "a token, one frequency", .inputs = {{1, 2}}, .run = run},
          {.name = "no tokens", .inputs = {{0, 6}}, .run = run},
          {.name = "many tokens", .inputs = {{1001, 66}}, .run = run, .finite_differences = false}};
}

std::vector<OpCase> rope_cases() {
  auto heads_of = [](std::int64_t head_dim, std::int64_t rotated) {
    return [=](const std::vector<Tensor>& in, const Setting& s) {
      return rope(s.compute(in[0]), turns(s, in[0].rows(), rotated, s.dtype), head_dim);
    };
  };
  return {{.name = "one head of 2", .inputs = {{1, 2}}, .run = heads_of(2, 2)},
          {.name = "three heads of 4", .inputs = {{5, 12}}, .run = heads_of(4, 4)},
          {.name = "two heads of 6", .inputs = {{3, 12}}, .run = heads_of(6, 6)},
          {.name = "two heads of 7, 4 of them rotated", .inputs = {{3, 14}}, .run = heads_of(7, 4)},
          {.name = "no rows", .inputs = {{0, 12}}, .run = heads_of(4, 4)},
          {.name = "large", .inputs = {{301, 512}}, .run = heads_of(64, 64), .finite_differences = false},
          {.name = "large, in part", .inputs = {{301, 512}}, .run = heads_of(64, 16), .finite_differences = false}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("rope rotates the halves of the first dimensions of a head") {
  DevicePtr device = test_device(1);
  Tensor f = Tensor::from(device, {1, 2}, std::vector<double>{1, 0.5});
  std::int32_t position = 2;
  Tensor turns = rotations(Tensor::from(device, {1, 1}, &position), f, DType::f64);
  Tensor x = make_tensor(device, {1, 5}, DType::f64, {1, 2, 3, 4, 5});
  std::vector<double> y = rope(x, turns, 5).values<double>();
  CHECK(y[0] == doctest::Approx(1 * std::cos(2) - 3 * std::sin(2)));
  CHECK(y[2] == doctest::Approx(3 * std::cos(2) + 1 * std::sin(2)));
  CHECK(y[1] == doctest::Approx(2 * std::cos(1) - 4 * std::sin(1)));
  CHECK(y[3] == doctest::Approx(4 * std::cos(1) + 2 * std::sin(1)));
  CHECK(y[4] == 5);
}

TEST_CASE("the rope kernel works in place and rotates back") {
  Setting s{test_device(2), DType::f32, 1};
  for (std::int64_t rotated : {8, 4}) {
    Tensor x = s.parameter({9, 16}, 1), to = turns(s, 9, rotated, DType::f32);
    Tensor y = rope(x, to, 8);
    Tensor z = x.to(DType::f32);
    RopeArgs args{.x = z.matrix(), .y = z.mutable_matrix(), .rotations = to.matrix(), .head_dim = 8};
    s.device->kernels().rope(*s.device, args);
    CHECK(z.values<float>() == y.values<float>());
    args.inverse = true;
    s.device->kernels().rope(*s.device, args);
    std::vector<float> back = z.values<float>(), original = x.values<float>();
    for (std::size_t i = 0; i < back.size(); ++i) CHECK(std::abs(back[i] - original[i]) < 2e-6);
  }
}

TEST_CASE("rope refuses what is not made of whole heads, and rotations that are not theirs") {
  Setting s{test_device(1), DType::f32, 1};
  CHECK_THROWS_AS(rope(s.parameter({2, 6}, 1), turns(s, 2, 4, DType::f32), 4), ShapeError);
  CHECK_THROWS_AS(rope(s.parameter({2, 8}, 1), turns(s, 3, 4, DType::f32), 4), ShapeError);
  CHECK_THROWS_AS(rope(s.parameter({2, 8}, 1), turns(s, 2, 6, DType::f32), 4), ShapeError);
  CHECK_THROWS_AS(rope(s.parameter({2, 8}, 1), turns(s, 2, 4, DType::f64), 4), ShapeError);
  Tensor across = Tensor::from(s.device, {2, 1}, std::vector<double>{1, 0.5}.data());
  CHECK_THROWS_AS(rotations(s.indices(2, 9, 2), across, DType::f32), ShapeError);
}

#include "ops/rope.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/error.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

Tensor frequencies(const DevicePtr& device, std::int64_t head_dim) {
  std::vector<double> f;
  for (std::int64_t i = 0; i < head_dim / 2; ++i)
    f.push_back(std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
  return Tensor::from(device, {1, head_dim / 2}, f);
}

}  // namespace

std::vector<OpCase> rope_cases() {
  auto heads_of = [](std::int64_t head_dim) {
    return [head_dim](const std::vector<Tensor>& in, const Setting& s) {
      return rope(s.compute(in[0]), s.indices(in[0].rows(), 131072, 7), frequencies(s.device, head_dim));
    };
  };
  return {{.name = "one head of 2", .inputs = {{1, 2}}, .run = heads_of(2)},
          {.name = "three heads of 4", .inputs = {{5, 12}}, .run = heads_of(4)},
          {.name = "two heads of 6", .inputs = {{3, 12}}, .run = heads_of(6)},
          {.name = "no rows", .inputs = {{0, 12}}, .run = heads_of(4)},
          {.name = "large", .inputs = {{301, 512}}, .run = heads_of(64), .finite_differences = false}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("rope rotates the halves of a head") {
  DevicePtr device = test_device(1);
  Tensor f = Tensor::from(device, {1, 2}, std::vector<double>{1, 0.5});
  std::int32_t position = 2;
  Tensor x = make_tensor(device, {1, 4}, DType::f64, {1, 2, 3, 4});
  std::vector<double> y = rope(x, Tensor::from(device, {1, 1}, &position), f).values<double>();
  CHECK(y[0] == doctest::Approx(1 * std::cos(2) - 3 * std::sin(2)));
  CHECK(y[2] == doctest::Approx(3 * std::cos(2) + 1 * std::sin(2)));
  CHECK(y[1] == doctest::Approx(2 * std::cos(1) - 4 * std::sin(1)));
  CHECK(y[3] == doctest::Approx(4 * std::cos(1) + 2 * std::sin(1)));
}

TEST_CASE("the rope kernel works in place and rotates back") {
  Setting s{test_device(2), DType::f32, 1};
  Tensor x = s.parameter({9, 16}, 1), positions = s.indices(9, 5000, 2);
  Tensor y = rope(x, positions, frequencies(s.device, 8));
  Tensor z = x.to(DType::f32);
  Tensor f = frequencies(s.device, 8);
  RopeArgs args{.x = z.matrix(),
                .y = z.mutable_matrix(),
                .positions = positions.data<std::int32_t>(),
                .frequencies = f.data<double>(),
                .head_dim = 8};
  s.device->kernels().rope(*s.device, args);
  CHECK(z.values<float>() == y.values<float>());
  args.inverse = true;
  s.device->kernels().rope(*s.device, args);
  std::vector<float> back = z.values<float>(), original = x.values<float>();
  for (std::size_t i = 0; i < back.size(); ++i) CHECK(std::abs(back[i] - original[i]) < 2e-6);
}

TEST_CASE("rope refuses what is not made of whole heads") {
  Setting s{test_device(1), DType::f32, 1};
  CHECK_THROWS_AS(rope(s.parameter({2, 6}, 1), s.indices(2, 9, 2), frequencies(s.device, 4)), ShapeError);
  CHECK_THROWS_AS(rope(s.parameter({2, 8}, 1), s.indices(3, 9, 2), frequencies(s.device, 4)), ShapeError);
  Tensor across = Tensor::from(s.device, {2, 1}, std::vector<double>{1, 0.5}.data());
  CHECK_THROWS_AS(rope(s.parameter({2, 8}, 1), s.indices(2, 9, 2), across), ShapeError);
}

#include "ops/dropout.h"
#include "engine/random.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/error.h"
#include "engine/node.h"
#include "engine/random.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

Dropout config_for(const Tensor& x, const Setting& s, double p) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    tokens.push_back(static_cast<std::int32_t>(t / 4));
    tokens.push_back(static_cast<std::int32_t>(t % 4));
  }
  return {.p = p, .key = 42 + s.seed, .tokens = s.integers({x.rows(), 2}, tokens)};
}

}  // namespace

std::vector<OpCase> dropout_cases() {
  auto run = [](const std::vector<Tensor>& in, const Setting& s) {
    Tensor x = s.compute(in[0]);
    return dropout(x, config_for(x, s, 0.3));
  };
  return {{.name = "dropout 5x9", .inputs = {{5, 9}}, .run = run},
          {.name = "dropout 1x1", .inputs = {{1, 1}}, .run = run},
          {.name = "dropout no rows", .inputs = {{0, 9}}, .run = run},
          {.name = "dropout large", .inputs = {{301, 515}}, .run = run, .finite_differences = false}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("dropout keeps the asked share and the mean") {
  Setting s{test_device(2), DType::f32, 1};
  Tensor x = Tensor::zeros(s.device, {1000, 300}, DType::f32);
  x.fill(1);
  std::vector<float> y = dropout(x, config_for(x, s, 0.1)).values<float>();
  double sum = 0, dropped = 0;
  for (float value : y) {
    sum += value;
    dropped += value == 0;
    if (value != 0) CHECK_EQ(value, doctest::Approx(1 / 0.9).epsilon(1e-4));
  }
  // 300,000 draws: standard deviation of the share is 0.00055
  CHECK(std::abs(dropped / 3e5 - 0.1) < 0.003);
  CHECK(std::abs(sum / 3e5 - 1) < 0.003);
}

TEST_CASE("a token's mask does not depend on where a batch was cut") {
  Setting s{test_device(2), DType::f32, 1};
  Tensor x = Tensor::zeros(s.device, {2, 301}, DType::f32), row = Tensor::zeros(s.device, {1, 301}, DType::f32);
  x.fill(1);
  row.fill(1);
  std::vector<std::int32_t> both{7, 0, 8, 3}, one{8, 3};
  std::vector<float> y = dropout(x, {0.5, 9, s.integers({2, 2}, both)}).values<float>();
  std::vector<float> z = dropout(row, {0.5, 9, s.integers({1, 2}, one)}).values<float>();
  CHECK(std::vector<float>(y.begin() + 301, y.end()) == z);
  CHECK(std::vector<float>(y.begin(), y.begin() + 301) != z);
  CHECK(dropout(row, {0.5, 10, s.integers({1, 2}, one)}).values<float>() != z);
}

TEST_CASE("a mask is made of Philox's words, 16 bits an element, whatever the compiler made of the loop") {
  Setting s{test_device(1), DType::f32, 1};
  constexpr std::int64_t width = 600;
  Tensor x = Tensor::zeros(s.device, {1, width}, DType::f32);
  x.fill(1);
  std::uint64_t key = 0x123456789abcdef0;
  std::vector<float> y = dropout(x, {0.5, key, s.integers({1, 2}, {7, 3})}).values<float>();
  int wrong = 0;
  for (std::uint32_t i = 0; i < width; ++i) {
    std::uint32_t word = philox({7, 3, i / 8, 0}, key)[i % 8 / 2], draw = i % 2 ? word >> 16 : word & 0xffff;
    wrong += (y[i] != 0) != (draw >= 32768);
  }
  CHECK(wrong == 0);
}

TEST_CASE("the mask is drawn again, and nothing kept for it") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor x = s.parameter({5, 9}, 1).set_trainable(), y = dropout(x, config_for(x, s, 0.3));
  CHECK(y.impl()->node->saved_bytes() == 0);
}

TEST_CASE("dropout without p is x itself, and a wrong p or wrong tokens are refused") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor x = s.parameter({5, 9}, 1);
  CHECK(dropout(x, {}).impl() == x.impl());
  CHECK_THROWS_AS(dropout(x, {.p = 1, .key = 1, .tokens = Tensor()}), UsageError);
  CHECK_THROWS_AS(dropout(x, {.p = -0.1, .key = 1, .tokens = Tensor()}), UsageError);
  CHECK_THROWS_AS(dropout(x, {.p = 0.5, .key = 1, .tokens = Tensor()}), ShapeError);
  CHECK_THROWS_AS(dropout(x, {.p = 0.5, .key = 1, .tokens = s.integers({5, 1}, {0, 1, 2, 3, 4})}), ShapeError);
}

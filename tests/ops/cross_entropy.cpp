#include "ops/cross_entropy.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/backward.h"
#include "engine/error.h"
#include "ops/elementwise.h"
#include "ops/meta_device.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

using Inputs = std::vector<Tensor>;

/// Targets with runs of unsupervised rows, as prompts make them.
Targets targets(const Setting& s, std::int64_t rows, std::int64_t vocab) {
  std::vector<std::int32_t> ids = s.indices(rows, vocab, 9).values<std::int32_t>();
  for (std::int64_t t = 0; t < rows; ++t)
    if (t % 5 < 2 && rows > 1) ids[static_cast<std::size_t>(t)] = t % 2 ? -1 : -100;
  return make_targets(s.device, ids);
}

Tensor frozen(const Inputs& in, const Setting& s) {
  Weight head(s.constant({11, in[0].cols()}, 1));
  return scale(cross_entropy(s.compute(in[0]), head, targets(s, in[0].rows(), 11), 3).loss, 2);  // 2: dy is not 1
}
Tensor capped(const Inputs& in, const Setting& s) {
  return cross_entropy(s.compute(in[0]), in[1], targets(s, in[0].rows(), in[1].rows()), 7, 1.5).loss;
}
Tensor trained(const Inputs& in, const Setting& s) {
  return cross_entropy(s.compute(in[0]), in[1], targets(s, in[0].rows(), in[1].rows()), 7).loss;
}

}  // namespace

std::vector<OpCase> cross_entropy_cases() {
  return {{.name = "frozen 6x4", .inputs = {{6, 4}}, .run = frozen},
          {.name = "frozen 1x1", .inputs = {{1, 1}}, .run = frozen},
          {.name = "frozen no rows", .inputs = {{0, 4}}, .run = frozen},
          {.name = "trained head", .inputs = {{7, 3}, {5, 3}}, .run = trained},
          {.name = "capped", .inputs = {{7, 3}, {5, 3}}, .run = capped},
          {.name = "large, capped",
           .inputs = {{150, 40}, {517, 40}},
           .run = capped,
           .finite_differences = false,
           .f32_tolerance = 1e-5,
           .bf16_tolerance = 6e-2},
          {.name = "large",
           .inputs = {{150, 40}, {517, 40}},
           .run = trained,
           .finite_differences = false,
           .f32_tolerance = 1e-5,
           .bf16_tolerance = 6e-2}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("cross entropy of known logits; rows without a target do not count") {
  DevicePtr device = test_device(1);
  std::vector<double> x{1, 0, 0, 1, 5, 5}, head{1, 0, 0, 1, 0, 0};
  std::vector<std::int32_t> targets{0, 2, -1};
  Weight w(Tensor::from(device, {3, 2}, head.data()));
  Targets supervised = make_targets(device, targets);
  CrossEntropy loss = cross_entropy(Tensor::from(device, {3, 2}, x.data()), w, supervised, 2);
  double z = std::log(std::exp(1) + 2);  // both rows have logits {1, 0, 0} in some order
  CHECK(supervised.count() == 2);
  CHECK(std::abs(loss.sum.item() - ((z - 1) + z)) < 1e-12);
  CHECK(std::abs(loss.loss.item() - loss.sum.item() / 2) < 1e-12);
}

TEST_CASE("cross entropy of known logits under a cap") {
  DevicePtr device = test_device(1);
  std::vector<double> x{1, 0}, head{3, 0, 0, 1, -1, 0};
  std::vector<std::int32_t> target{0};
  CrossEntropy loss =
      cross_entropy(Tensor::from(device, {1, 2}, x.data()), Weight(Tensor::from(device, {3, 2}, head.data())),
                    make_targets(device, target), 1, 2);
  double a = 2 * std::tanh(1.5), b = 2 * std::tanh(-0.5);
  CHECK(std::abs(loss.sum.item() - (std::log(std::exp(a) + 1 + std::exp(b)) - a)) < 1e-12);
}

TEST_CASE("targets of another x, or another device, are refused") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor x = s.parameter({2, 3}, 1);
  Weight head(s.parameter({5, 3}, 2));
  std::vector<std::int32_t> one{1}, two{1, 4};
  CHECK_THROWS_WITH_AS(cross_entropy(x, head, make_targets(s.device, one), 1),
                       "cross_entropy: targets of 1 tokens do not fit x [2, 3]", ShapeError);
  CHECK_THROWS_AS(cross_entropy(x, head, make_targets(test_device(1), two), 1), ShapeError);
  CHECK_THROWS_AS(cross_entropy(x, {}, make_targets(s.device, two), 1), ShapeError);
  CHECK_THROWS_WITH_AS(cross_entropy(x, head, make_targets(s.device, two), 1, -2),
                       "cross_entropy: soft_cap: expected 0 or more, found -2.000000", ShapeError);
}

TEST_CASE("large logits do not overflow") {
  DevicePtr device = test_device(1);
  std::vector<float> x{1000}, head{1, -1};
  std::vector<std::int32_t> target{1};
  CrossEntropy loss = cross_entropy(Tensor::from(device, {1, 1}, x.data()),
                                    Weight(Tensor::from(device, {2, 1}, head.data())), make_targets(device, target), 1);
  CHECK(loss.sum.item() == doctest::Approx(2000));
}

namespace {
/// What head and loss may take beside their operands: caches decide on a processor, the size of products on a GPU.
std::size_t budget(const DevicePtr& device) { return std::size_t{device->name() == "cuda" ? 256u : 64u} << 20; }
}  // namespace

TEST_CASE("the head of a wide model stays within its budget too") {
  for (DType dtype : {DType::f32, DType::bf16}) {
    DevicePtr real = test_device(2), device = meta_device(real);
    std::int64_t rows = 1248, vocab = 32'000, d = 4096;
    Tensor x = Tensor::empty(device, {rows, d}, DType::f32).set_trainable(), input = cast(x, dtype);
    Weight head(Tensor::empty(device, {vocab, d}, dtype));
    Targets targets = make_targets(device, std::vector<std::int32_t>(static_cast<std::size_t>(rows)));
    device->memory().reset_peak();
    std::size_t before = device->memory().live();
    CrossEntropy loss = cross_entropy(input, head, targets, 1);
    CHECK(device->memory().peak() - before <= budget(real) + input.bytes());
  }
}

TEST_CASE("logits stay within the budget") {
  DevicePtr device = test_device(2);
  std::int64_t rows = device->name() == "cuda" ? 1800 : 600, vocab = 50'000;  // 120 MB of logits, or 360
  Tensor x = Tensor::zeros(device, {rows, 2}, DType::f32);
  x.set_trainable();
  Weight head(Tensor::zeros(device, {vocab, 2}, DType::f32));
  Targets targets = make_targets(device, std::vector<std::int32_t>(static_cast<std::size_t>(rows)));
  device->memory().reset_peak();
  std::size_t before = device->memory().live();
  CrossEntropy loss = cross_entropy(x, head, targets, 1);
  CHECK(loss.sum.item() / static_cast<double>(rows) == doctest::Approx(std::log(static_cast<double>(vocab))));
  CHECK(device->memory().peak() - before <= budget(device) + x.bytes() + (1u << 20));
}

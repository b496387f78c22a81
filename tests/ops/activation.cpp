#include "ops/activation.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "engine/backward.h"
#include "engine/error.h"
#include "engine/node.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

using Inputs = std::vector<Tensor>;
struct Kind {
  const char* name;
  Activation kind;
};
constexpr Kind kinds[] = {{"relu", Activation::relu},
                          {"gelu_erf", Activation::gelu_erf},
                          {"gelu_tanh", Activation::gelu_tanh},
                          {"silu", Activation::silu}};

}  // namespace

std::vector<OpCase> activation_cases() {
  std::vector<OpCase> cases;
  for (Kind k : kinds) {
    double away = k.kind == Activation::relu ? 0.1 : 0;
    auto run = [k](const Inputs& in, const Setting& s) { return activation(k.kind, s.compute(in[0])); };
    auto views = [k](const Inputs& in, const Setting& s) {  // that overlap
      Tensor x = s.compute(in[0]);
      return gated(k.kind, x.cols(0, 4), x.cols(2, 4));
    };
    cases.push_back({.name = std::string(k.name) + " views", .inputs = {{3, 7}}, .run = views, .away_from_zero = away});
    for (Shape shape : {Shape{3, 7}, Shape{1, 1}, Shape{2, 17}, Shape{0, 5}})
      cases.push_back(
          {.name = std::string(k.name) + shape.text(), .inputs = {shape}, .run = run, .away_from_zero = away});
    cases.push_back({.name = std::string(k.name) + " large",
                     .inputs = {{301, 515}},
                     .run = run,
                     .away_from_zero = away,
                     .finite_differences = false});
  }
  return cases;
}

std::vector<OpCase> gated_cases() {
  std::vector<OpCase> cases;
  for (Kind k : kinds) {
    double away = k.kind == Activation::relu ? 0.1 : 0;
    auto run = [k](const Inputs& in, const Setting& s) { return gated(k.kind, s.compute(in[0]), s.compute(in[1])); };
    auto square = [k](const Inputs& in, const Setting&) { return gated(k.kind, in[0], in[0]); };
    for (Shape shape : {Shape{3, 7}, Shape{1, 1}, Shape{0, 5}})
      cases.push_back(
          {.name = std::string(k.name) + shape.text(), .inputs = {shape, shape}, .run = run, .away_from_zero = away});
    cases.push_back(
        {.name = std::string(k.name) + " f(x) x", .inputs = {{3, 5}}, .run = square, .away_from_zero = away});
    cases.push_back({.name = std::string(k.name) + " large",
                     .inputs = {{301, 515}, {301, 515}},
                     .run = run,
                     .away_from_zero = away,
                     .finite_differences = false});
  }
  return cases;
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("activations at known points") {
  DevicePtr device = test_device(1);
  std::vector<double> x{-20, -1, 0, 0.5, 20};
  auto at = [&](Activation kind) {
    return activation(kind, make_tensor(device, {1, 5}, DType::f32, x)).values<float>();
  };
  CHECK(at(Activation::relu) == std::vector<float>{0, 0, 0, 0.5, 20});
  auto near = [](float found, double wanted) { return std::abs(found - wanted) < 2e-7; };
  CHECK(near(at(Activation::gelu_erf)[1], -0.15865525393145707));
  CHECK(near(at(Activation::gelu_erf)[3], 0.34573123063700656));
  CHECK(near(at(Activation::gelu_tanh)[1], -0.15880800939172324));
  CHECK(near(at(Activation::silu)[1], -0.2689414213699951));
  for (Activation kind : {Activation::gelu_erf, Activation::gelu_tanh, Activation::silu}) {
    CHECK(std::abs(at(kind)[0]) < 1e-6);
    CHECK(at(kind)[2] == 0);
    CHECK(at(kind)[4] == doctest::Approx(20));
  }
}

TEST_CASE("a NaN stays a NaN") {
  for (DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    Tensor x = make_tensor(test_device(1), {1, 1}, dtype, {std::numeric_limits<double>::quiet_NaN()});
    for (Activation kind : {Activation::relu, Activation::gelu_erf, Activation::gelu_tanh, Activation::silu})
      CHECK(std::isnan(read_values(activation(kind, x))[0]));
  }
}

TEST_CASE("relu keeps one bit an element, each row from a byte on; relu'(0) = 0") {
  DevicePtr device = test_device(1);
  Tensor x = Tensor::zeros(device, {3, 9}, DType::f32).set_trainable();
  Tensor y = activation(Activation::relu, x);
  CHECK(y.impl()->node->saved_bytes() == 8);  // 3 rows of 2 bytes, in words of 4
}

TEST_CASE("the gated product is computed again from gate and up") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor gate = s.parameter({5, 9}, 1).set_trainable(), up = s.parameter({5, 9}, 2);
  Tensor y = gated(Activation::silu, gate, up);
  CHECK(Saved(y).bytes() == 0);
  CHECK(Saved(y).get("test").values<float>() == y.values<float>());
  CHECK_THROWS_AS(gated(Activation::silu, gate, s.parameter({9, 5}, 2)), ShapeError);
}

TEST_CASE("backward writes over what nobody else holds, and over nothing else") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor x = s.parameter({64, 64}, 1).set_trainable(), w = s.parameter({64, 64}, 2), dy = s.parameter({64, 64}, 3);
  std::vector<float> dy_before = dy.values<float>();
  auto run = [&](bool hold) {
    Tensor gate = add(x, w), up = add(w, x), held_gate, held_up;
    if (hold) held_gate = gate.detach(), held_up = up.detach();
    std::vector<float> gate_before = gate.values<float>(), up_before = up.values<float>();
    Tensor y = activation(Activation::silu, gated(Activation::silu, gate, up));
    gate = up = Tensor();
    x.clear_grad();
    std::uint64_t before = s.device->memory().allocations();
    backward(y, dy);
    std::uint64_t taken = s.device->memory().allocations() - before;
    if (hold) CHECK(held_gate.values<float>() == gate_before);
    if (hold) CHECK(held_up.values<float>() == up_before);
    CHECK(dy.values<float>() == dy_before);
    return std::pair(taken, x.grad().values<float>());
  };
  auto [taken, gradient] = run(false);
  auto [taken_held, gradient_held] = run(true);
  CHECK(taken_held == taken + 2);
  CHECK(gradient_held == gradient);
}

TEST_CASE("backward does not write over a value that is computed again for several") {
  Setting s{test_device(1), DType::f32, 1};
  Weight w(s.parameter({1, 9}, 3));
  Tensor up = s.parameter({5, 9}, 2), dy = s.parameter({5, 9}, 4);
  auto gradient = [&](bool recipe, bool twice) {
    Tensor x = s.parameter({5, 9}, 1).set_trainable(), n = rms_norm(x, w, 1e-5, DType::f32);
    if (!recipe) n.impl()->recipe = nullptr;
    Tensor product = gated(Activation::silu, n, twice ? n : up);
    backward(add(activation(Activation::silu, n), product), dy);
    return x.grad().values<float>();
  };
  for (bool twice : {false, true}) CHECK(gradient(true, twice) == gradient(false, twice));
}

TEST_CASE("gradients written over dy have the bits of those that are not") {
  for (DType dtype : {DType::f32, DType::bf16}) {
    Setting s{test_device(2), dtype, 1};
    std::int64_t rows = 37, cols = 12;
    Tensor dy = s.constant({rows, cols}, 4), positions = s.indices(rows, 50, 5);
    Weight w(s.parameter({1, cols}, 3)), b(s.parameter({1, cols}, 6));
    std::vector<std::int32_t> places;
    for (std::int32_t t = 0; t < rows; ++t) places.insert(places.end(), {0, t});
    Tensor turns = rotations(positions, Tensor::from(s.device, {1, 2}, std::vector<double>{1, 0.3}), dtype);
    std::vector<std::function<Tensor(const Tensor&)>> ops{
        [](const Tensor& x) { return activation(Activation::relu, x); },
        [](const Tensor& x) { return activation(Activation::gelu_tanh, x); },
        [&](const Tensor& x) { return rope(x, turns, 4); },
        [&](const Tensor& x) { return rms_norm(x, w, 1e-5, dtype); },
        [&](const Tensor& x) { return layer_norm(x, w, b, 1e-5, dtype); },
        [&](const Tensor& x) {
          return dropout(x, {0.3, 7, s.integers({rows, 2}, places)});
        }};
    for (const auto& op : ops) {
      auto gradient = [&](bool held) {
        Tensor x = s.parameter({rows, cols}, 1).set_trainable(), y = op(s.compute(x));
        backward(held ? y : scale(y, 1), dy);  // what scale passes on is nobody's but the tape's
        return x.grad().values<float>();
      };
      CHECK(gradient(false) == gradient(true));
    }
  }
}

TEST_CASE("activation names") {
  CHECK(activation_named("gelu") == Activation::gelu_erf);
  CHECK(activation_named("gelu_new") == Activation::gelu_tanh);
  CHECK(activation_named("gelu_fast") == Activation::gelu_tanh);
  CHECK(activation_named("swish") == Activation::silu);
  CHECK(!activation_named("mish"));
}

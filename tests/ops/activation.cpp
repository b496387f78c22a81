#include "ops/activation.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/backward.h"
#include "engine/error.h"
#include "engine/node.h"
#include "ops/cpu/cpu_device.h"
#include "ops/elementwise.h"
#include "tests/ops/sample.h"

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

std::vector<Sample> activation_samples() {
  std::vector<Sample> samples;
  for (Kind k : kinds) {
    double away = k.kind == Activation::relu ? 0.1 : 0;
    auto run = [k](const Inputs& in, const Setting& s) { return activation(k.kind, s.compute(in[0])); };
    for (Shape shape : {Shape{3, 7}, Shape{1, 1}, Shape{2, 17}, Shape{0, 5}})
      samples.push_back(
          {.name = std::string(k.name) + shape.text(), .inputs = {shape}, .run = run, .away_from_zero = away});
    samples.push_back({.name = std::string(k.name) + " large",
                       .inputs = {{301, 515}},
                       .run = run,
                       .away_from_zero = away,
                       .finite_differences = false});
  }
  return samples;
}

std::vector<Sample> gated_samples() {
  std::vector<Sample> samples;
  for (Kind k : kinds) {
    double away = k.kind == Activation::relu ? 0.1 : 0;
    auto run = [k](const Inputs& in, const Setting& s) { return gated(k.kind, s.compute(in[0]), s.compute(in[1])); };
    auto square = [k](const Inputs& in, const Setting&) { return gated(k.kind, in[0], in[0]); };
    for (Shape shape : {Shape{3, 7}, Shape{1, 1}, Shape{0, 5}})
      samples.push_back(
          {.name = std::string(k.name) + shape.text(), .inputs = {shape, shape}, .run = run, .away_from_zero = away});
    samples.push_back(
        {.name = std::string(k.name) + " f(x) x", .inputs = {{3, 5}}, .run = square, .away_from_zero = away});
    samples.push_back({.name = std::string(k.name) + " large",
                       .inputs = {{301, 515}, {301, 515}},
                       .run = run,
                       .away_from_zero = away,
                       .finite_differences = false});
  }
  return samples;
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("activations at known points") {
  DevicePtr device = cpu_device(1);
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
    Tensor x = make_tensor(cpu_device(1), {1, 1}, dtype, {std::numeric_limits<double>::quiet_NaN()});
    for (Activation kind : {Activation::relu, Activation::gelu_erf, Activation::gelu_tanh, Activation::silu})
      CHECK(std::isnan(read_values(activation(kind, x))[0]));
  }
}

TEST_CASE("relu keeps one bit an element, each row from a byte on; relu'(0) = 0") {
  DevicePtr device = cpu_device(1);
  Tensor x = Tensor::zeros(device, {3, 9}, DType::f32).set_trainable();
  Tensor y = activation(Activation::relu, x);
  CHECK(y.impl()->node->saved_bytes() == 8);  // 3 rows of 2 bytes, in words of 4
}

TEST_CASE("the gated product is computed again from gate and up") {
  Setting s{cpu_device(1), DType::f32, 1};
  Tensor gate = s.parameter({5, 9}, 1).set_trainable(), up = s.parameter({5, 9}, 2);
  Tensor y = gated(Activation::silu, gate, up);
  CHECK(Saved(y).bytes() == 0);
  CHECK(Saved(y).get("test").values<float>() == y.values<float>());
  CHECK_THROWS_AS(gated(Activation::silu, gate, s.parameter({9, 5}, 2)), ShapeError);
}

TEST_CASE("backward writes over what nobody else holds, and over nothing else") {
  Setting s{cpu_device(1), DType::f32, 1};
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

TEST_CASE("activation names") {
  CHECK(activation_named("gelu") == Activation::gelu_erf);
  CHECK(activation_named("gelu_new") == Activation::gelu_tanh);
  CHECK(activation_named("gelu_fast") == Activation::gelu_tanh);
  CHECK(activation_named("swish") == Activation::silu);
  CHECK(!activation_named("mish"));
}

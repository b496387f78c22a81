#include "lora/lora_linear.h"

#include "engine/backward.h"
#include "ops/linear.h"
#include "tests/lora/support.h"
#include "tests/ops/gradcheck.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

constexpr std::int64_t tokens = 4, in = 6, out = 5;

Dropout dropout_of(const Setting& s, double p, std::uint64_t key) {
  std::vector<std::int32_t> places;
  for (std::int32_t t = 0; t < tokens; ++t) {
    places.push_back(t / 3);
    places.push_back(t % 3);
  }
  return {p, key, s.integers({tokens, 2}, places)};
}

/// Two adapters of different ranks, scales and dropout beside a frozen weight and bias; x, A, B, A', B' are inputs.
OpCase two_adapters(WeightLayout layout, double p, bool bias) {
  auto run = [=](const std::vector<Tensor>& v, const Setting& s) {
    Weight w(s.constant(layout == WeightLayout::out_in ? Shape{out, in} : Shape{in, out}, 1), layout);
    Weight b = bias ? Weight(s.parameter({1, out}, 2)) : Weight();
    return lora_linear(s.compute(v[0]), w, b,
                       {{v[1], v[2], 2.5, dropout_of(s, p, 7)}, {v[3], v[4], -0.75, dropout_of(s, p / 2, 8)}});
  };
  return {.name = "two adapters",
          .inputs = {{tokens, in}, {3, in}, {out, 3}, {2, in}, {out, 2}},
          .run = run,
          .f32_tolerance = 1e-5,
          .bf16_tolerance = 6e-2};
}

/// One adapter in two parts of the tokens and another in two that meet the first's, as rows have them that chose theirs.
OpCase parts_of_the_tokens(double p) {
  auto run = [=](const std::vector<Tensor>& v, const Setting& s) {
    auto first = [&](std::int64_t begin, std::int64_t end) {
      return LoraTerm{v[1], v[2], 2.5, dropout_of(s, p, 7), {begin, end}};
    };
    auto second = [&](std::int64_t begin, std::int64_t end) {
      return LoraTerm{v[3], v[4], -0.75, dropout_of(s, p / 2, 8), {begin, end}};
    };
    return lora_linear(s.compute(v[0]), Weight(s.constant({out, in}, 1)), Weight(),
                       {first(0, 1), first(2, 4), second(1, 3), second(3, 3)});
  };
  return {.name = "parts of the tokens",
          .inputs = {{tokens, in}, {3, in}, {out, 3}, {2, in}, {out, 2}},
          .run = run,
          .f32_tolerance = 1e-5,
          .bf16_tolerance = 6e-2};
}

}  // namespace

TEST_CASE("adapters in some of the tokens: gradients for every mask, with and without dropout") {
  for (double p : {0.0, 0.4}) {
    OpCase op_case = parts_of_the_tokens(p);
    INFO("p ", p);
    CHECK(gradient_failure(op_case) == "");
    CHECK(precision_failure(op_case, DType::f32) == "");
    CHECK(precision_failure(op_case, DType::bf16) == "");
  }
}

TEST_CASE("two adapters: gradients for every mask, with and without dropout and bias, in both layouts") {
  for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out})
    for (double p : {0.0, 0.4})
      for (bool bias : {false, true}) {
        OpCase op_case = two_adapters(layout, p, bias);
        INFO("Conv1D ", layout == WeightLayout::in_out, ", p ", p, ", bias ", bias);
        CHECK(gradient_failure(op_case) == "");
        CHECK(precision_failure(op_case, DType::f32) == "");
        CHECK(precision_failure(op_case, DType::bf16) == "");
      }
}

TEST_CASE("two adapters: the value is the formula's") {
  Setting s{test_device(2), DType::f64, 3};
  Tensor x = s.constant({tokens, in}, 11), w = s.constant({out, in}, 12), bias = s.constant({1, out}, 13);
  Tensor a = s.constant({3, in}, 14), b = s.constant({out, 3}, 15);
  Tensor a2 = s.constant({2, in}, 16), b2 = s.constant({out, 2}, 17);
  auto y = lora_linear(x, Weight(w), Weight(bias), {{a, b, 2.5, {}}, {a2, b2, -0.75, {}}}).values<double>();
  auto at = [](const Tensor& m, std::int64_t i, std::int64_t j) { return m.rows(i, 1).cols(j, 1).item(); };
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t o = 0; o < out; ++o) {
      double expected = at(bias, 0, o);
      for (std::int64_t i = 0; i < in; ++i) {
        double row = at(w, o, i);
        for (std::int64_t k = 0; k < 3; ++k) row += 2.5 * at(b, o, k) * at(a, k, i);
        for (std::int64_t k = 0; k < 2; ++k) row -= 0.75 * at(b2, o, k) * at(a2, k, i);
        expected += row * at(x, t, i);
      }
      CHECK(y[static_cast<std::size_t>(t * out + o)] == doctest::Approx(expected).epsilon(1e-12));
    }
}

TEST_CASE("a fresh adapter changes no bit of the base's output and gives A no gradient, with dropout too") {
  Setting s{test_device(2), DType::f32, 3};
  LoraConfig config;
  config.r = 3;
  config.lora_alpha = 7.5;
  config.target_modules = {"m"};
  for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out}) {
    Adapter adapter = make_adapter(s.device, config, {{"m", in, out, layout}}, 1);
    LoraModule& m = adapter.modules[0];
    Weight w(s.constant(layout == WeightLayout::out_in ? Shape{out, in} : Shape{in, out}, 1), layout);
    Weight bias(s.constant({1, out}, 2));
    Tensor x = s.constant({tokens, in}, 3);
    Tensor y = lora_linear(x, w, bias, {{m.a, m.b, m.scale, dropout_of(s, 0.4, 5)}});
    CHECK(y.values<float>() == linear(x, w, bias).values<float>());
    backward(y, s.constant({tokens, out}, 4));
    for (float value : m.a.grad().values<float>()) CHECK(value == 0);
    double size = 0;
    for (float value : m.b.grad().values<float>()) size += std::abs(value);
    CHECK(size > 0);
  }
}

TEST_CASE("many tokens, whose dropped-out copies are made in pieces, have the gradients of few") {
  Setting s{test_device(2), DType::f32, 3};
  constexpr std::int64_t rows = 600, half = 300, wide = 4096;  // pieces of 256
  std::vector<std::int32_t> places;
  for (std::int32_t t = 0; t < rows; ++t) places.insert(places.end(), {0, t});
  Weight w(s.constant({3, wide}, 4));
  Tensor a = s.parameter({2, wide}, 2).set_trainable(), b = s.parameter({3, 2}, 3).set_trainable();
  std::vector<double> x_values = s.normal(rows * wide, 1), dy_values = s.normal(rows * 3, 5);
  auto backward_of = [&](std::int64_t first, std::int64_t count) {
    auto part = [&](const auto& all, std::int64_t cols) {
      auto at = all.begin() + first * cols;
      return std::vector(at, at + count * cols);
    };
    Tensor x = make_tensor(s.device, {count, wide}, DType::f32, part(x_values, wide)).set_trainable();
    Dropout dropout{0.4, 9, s.integers({count, 2}, part(places, 2))};
    backward(lora_linear(x, w, Weight(), {{a, b, 2.5, dropout}}),
             make_tensor(s.device, {count, 3}, DType::f32, part(dy_values, 3)));
    return x.grad().values<float>();
  };
  std::vector<float> dx = backward_of(0, rows), da = a.grad().values<float>();
  a.clear_grad();
  std::vector<float> dx_parts = backward_of(0, half), dx_high = backward_of(half, half);
  dx_parts.insert(dx_parts.end(), dx_high.begin(), dx_high.end());
  auto distance = [](const std::vector<float>& x, const std::vector<float>& y) {
    float most = 0;
    for (std::size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
    return most;
  };
  CHECK(distance(dx, dx_parts) < 1e-4);
  CHECK(distance(da, a.grad().values<float>()) < 2e-3);  // sums of 600 terms of size 10
}

TEST_CASE("backward allocates nothing of the weight's size, whatever its type") {
  Setting s{test_device(2), DType::f32, 3};
  // A weight of another type than x's is converted in pieces of at most 8 MB: [2304, 2304] bf16 is 10.6 MB, 21 MB as
  // f32.
  for (auto [dtype, d] : {std::pair(DType::f32, std::int64_t{384}), std::pair(DType::bf16, std::int64_t{2304})})
    for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out}) {
      Tensor a = s.parameter({2, d}, 2).set_trainable(), b = s.parameter({d, 2}, 3).set_trainable();
      Tensor x = s.constant({tokens, d}, 1).set_trainable(), w = s.constant({d, d}, 4).to(dtype);
      Tensor y = lora_linear(x, Weight(w, layout), Weight(), {{a, b, 2.5, dropout_of(s, 0.4, 5)}});
      Tensor dy = s.constant({tokens, d}, 5);
      s.device->memory().reset_peak();
      backward(y, dy);
      CHECK(s.device->memory().largest() < (dtype == DType::f32 ? w.bytes() / 8 : w.bytes()));
    }
}

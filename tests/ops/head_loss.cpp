#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

using namespace loragrad;

namespace {

/// A head and tokens, of which some have a target.
struct Case {
  std::int64_t tokens, vocab, width;
  DType x, head;
  double scale = 1;  // of x: large logits
  bool trained = false;
  double soft_cap = 0;
};

struct Outcome {
  double sum = 0, loss = 0;
  std::vector<double> dx, dhead;
};

std::vector<std::int32_t> supervised(const Case& c) {
  std::vector<std::int32_t> tokens;
  for (std::int32_t t = 0; t < c.tokens; ++t)
    if (t % 5 != 2) tokens.push_back(t);
  return tokens;
}

struct Operands {
  Operands(const Case& c, const DevicePtr& device) {
    Setting s{device, c.x, 3};
    std::vector<double> values = s.normal(c.tokens * c.width, 1);
    for (double& value : values) value *= c.scale;
    x = make_tensor(device, {c.tokens, c.width}, c.x, values);
    head = make_tensor(device, {c.vocab, c.width}, c.head, s.normal(c.vocab * c.width, 2));
    tokens = supervised(c);
    ids = s.indices(static_cast<std::int64_t>(tokens.size()), c.vocab, 4).values<std::int32_t>();
    if (!ids.empty()) ids.front() = static_cast<std::int32_t>(c.vocab - 1);
    if (ids.size() > 1) ids.back() = 0;
  }
  Tensor x, head;
  std::vector<std::int32_t> tokens, ids;
};

constexpr double denominator = 4;

Outcome run(const Case& c, int threads) {
  DevicePtr device = test_device(threads);
  Operands o(c, device);
  DType wide = accumulation_type(c.x);
  auto count = static_cast<std::int64_t>(o.tokens.size());
  Tensor tokens = Tensor::from(device, {count, 1}, o.tokens.data()),
         ids = Tensor::from(device, {count, 1}, o.ids.data());
  Tensor sum = Tensor::empty(device, {1, 1}, DType::f64), loss = Tensor::empty(device, {1, 1}, wide);
  Tensor dx = Tensor::empty(device, o.x.shape(), c.x), dhead = Tensor::empty(device, o.head.shape(), c.head);
  dx.fill(std::numeric_limits<double>::quiet_NaN());
  dhead.fill(std::numeric_limits<double>::quiet_NaN());
  HeadLossArgs args{.x = o.x.matrix(),
                    .head = o.head.matrix(),
                    .tokens = tokens.data<std::int32_t>(),
                    .ids = ids.data<std::int32_t>(),
                    .count = count,
                    .denominator = denominator,
                    .soft_cap = c.soft_cap,
                    .sum = sum.mutable_data<double>(),
                    .loss = loss.mutable_matrix(),
                    .dx = dx.mutable_matrix(),
                    .dhead = {}};
  if (c.trained) args.dhead = dhead.mutable_matrix();
  device->kernels().head_loss(*device, args);
  return {sum.item(), loss.item(), read_values(dx), c.trained ? read_values(dhead) : std::vector<double>()};
}

/// The definition.
Outcome naive(const Case& c) {
  Operands o(c, test_device(1));
  std::vector<double> x = read_values(o.x), w = read_values(o.head), z(static_cast<std::size_t>(c.vocab));
  Outcome out{0, 0, std::vector<double>(x.size()), std::vector<double>(c.trained ? w.size() : 0)};
  auto width = static_cast<std::size_t>(c.width), vocab = static_cast<std::size_t>(c.vocab);
  for (std::size_t i = 0; i < o.tokens.size(); ++i) {
    std::size_t t = static_cast<std::size_t>(o.tokens[i]) * width, target = static_cast<std::size_t>(o.ids[i]);
    for (std::size_t v = 0; v < vocab; ++v) {
      z[v] = 0;
      for (std::size_t d = 0; d < width; ++d) z[v] += x[t + d] * w[v * width + d];
      if (c.soft_cap > 0) z[v] = c.soft_cap * std::tanh(z[v] / c.soft_cap);
    }
    double largest = *std::max_element(z.begin(), z.end()), total = 0;
    for (double value : z) total += std::exp(value - largest);
    out.sum += std::log(total) + largest - z[target];
    for (std::size_t v = 0; v < vocab; ++v) {
      double dz = (std::exp(z[v] - largest) / total - (v == target)) / denominator;
      if (c.soft_cap > 0) dz *= 1 - z[v] * z[v] / (c.soft_cap * c.soft_cap);
      for (std::size_t d = 0; d < width; ++d) {
        out.dx[t + d] += dz * w[v * width + d];
        if (c.trained) out.dhead[v * width + d] += dz * x[t + d];
      }
    }
  }
  out.loss = out.sum / denominator;
  return out;
}

/// Relative to the largest value, at least 1.
double distance(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0, largest = 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    double difference = std::abs(a[i] - b[i]);
    if (!(difference <= worst) && worst == worst) worst = difference;  // a NaN stays
  }
  return worst / largest;
}

const std::vector<Case> cases{
    {1, 1, 1, DType::f64, DType::f64},
    {7, 5, 3, DType::f64, DType::f64, 1, true},
    {37, 901, 17, DType::f64, DType::f64, 1, true},
    {37, 901, 71, DType::f32, DType::f32, 1, true},
    {3, 2901, 71, DType::f32, DType::f32},
    {300, 601, 65, DType::f32, DType::f32},
    {60, 601, 33, DType::f32, DType::f32, 64},
    {60, 1601, 33, DType::f32, DType::bf16},
    {60, 1601, 33, DType::bf16, DType::bf16},
    {300, 517, 40, DType::bf16, DType::f32, 1, true},
    {0, 601, 33, DType::f32, DType::f32, 1, true},
    {23, 5300, 9, DType::f64, DType::f64, 3, true, 4},
    {700, 2100, 24, DType::f32, DType::bf16, 2, false, 5},
    {700, 1025, 24, DType::bf16, DType::bf16, 1, true},
    {900, 3100, 5, DType::f64, DType::f64, 3, true},  // several panels in a part
    {9000, 70, 3, DType::f32, DType::f32, 1, true},
};

}  // namespace

TEST_CASE("head and loss against the definition: losses, dx, and a trained head's gradient") {
  for (const Case& c : cases) {
    CAPTURE(c.tokens);
    CAPTURE(c.vocab);
    CAPTURE(name_of(c.x));
    CAPTURE(name_of(c.head));
    Outcome found = run(c, 2), wanted = naive(c);
    double tolerance = c.x == DType::f64 ? 1e-12 : c.x == DType::f32 ? 3e-5 : 2e-2;
    CHECK(found.sum == doctest::Approx(wanted.sum).epsilon(tolerance));
    CHECK(found.loss == doctest::Approx(wanted.loss).epsilon(tolerance));
    CHECK(distance(found.dx, wanted.dx) < tolerance);
    CHECK(distance(found.dhead, wanted.dhead) < tolerance);
  }
}

TEST_CASE("head and loss are the same bits for any number of threads") {
  for (const Case& c : cases) {
    CAPTURE(c.vocab);
    CAPTURE(name_of(c.x));
    Outcome one = run(c, 1);
    for (int threads : {2, 3, 4, 8, 16}) {
      Outcome more = run(c, threads);
      CHECK(more.sum == one.sum);
      CHECK(more.dx == one.dx);
      CHECK(more.dhead == one.dhead);
    }
  }
}

namespace {

/// One token whose target is word 0, divided by 1.
Outcome of_one_token(const Tensor& x, const Tensor& head, bool with_dx) {
  const DevicePtr& device = x.device();
  Tensor zero = Setting{device, DType::f32, 1}.integers({1, 1}, {0}), sum = Tensor::zeros(device, {1, 1}, DType::f64),
         loss = Tensor::empty(device, {1, 1}, DType::f32), dx = Tensor::empty(device, x.shape(), x.dtype());
  HeadLossArgs args{.x = x.matrix(),
                    .head = head.matrix(),
                    .tokens = zero.data<std::int32_t>(),
                    .ids = zero.data<std::int32_t>(),
                    .count = 1,
                    .sum = sum.mutable_data<double>(),
                    .loss = loss.mutable_matrix(),
                    .dx = {},
                    .dhead = {}};
  if (with_dx) args.dx = dx.mutable_matrix();
  device->kernels().head_loss(*device, args);
  return {sum.item(), loss.item(), with_dx ? read_values(dx) : std::vector<double>(), {}};
}

}  // namespace

// In bf16 as well: 1 minus a probability near 1 would have no digit left.
TEST_CASE("a token that is nearly certain has a gradient as exact as any") {
  for (DType dtype : {DType::f32, DType::bf16}) {
    DevicePtr device = test_device(1);
    // Logits of 12 and 0: the target's probability is 1 - 6.1e-6.
    Outcome found = of_one_token(make_tensor(device, {1, 2}, dtype, {3, 0}),
                                 make_tensor(device, {2, 2}, dtype, {4, 0.5, 0, 1}), true);
    double q = 1 / (1 + std::exp(12.0));
    double tolerance = dtype == DType::f32 ? 1e-5 : 1e-2;  // of the values, which are small
    CHECK(std::abs(found.sum / std::log1p(std::exp(-12.0)) - 1) < 1e-5);
    CHECK(std::abs(found.dx[0] / (-4 * q) - 1) < tolerance);
    CHECK(std::abs(found.dx[1] / (0.5 * q) - 1) < tolerance);
  }
}

TEST_CASE("a NaN in x is a NaN in the loss") {
  DevicePtr device = test_device(1);
  Outcome found = of_one_token(make_tensor(device, {1, 2}, DType::f32, {1, std::numeric_limits<double>::quiet_NaN()}),
                               make_tensor(device, {3, 2}, DType::f32, {1, 2, 3, 4, 5, 6}), false);
  CHECK(std::isnan(found.sum));
  CHECK(std::isnan(found.loss));
}

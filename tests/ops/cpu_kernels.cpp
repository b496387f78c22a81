#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/kernels.h"
#include "engine/place.h"
#include "ops/gemm.h"
#include "ops/l2_norm.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

using namespace loragrad;

namespace {

const Setting s{test_device(3), DType::f32, 1};
const Kernels& kernels() { return s.device->kernels(); }

}  // namespace

TEST_CASE("accumulate converts, scales, adds, and can set to zero") {
  Tensor x = make_tensor(s.device, {2, 2}, DType::bf16, {1, 2, 3, 4});
  Tensor y = make_tensor(s.device, {2, 2}, DType::f32, {10, 20, 30, 40});
  kernels().accumulate(*s.device, {x.matrix(), 2, y.mutable_matrix(), 1});
  CHECK(y.values<float>() == std::vector<float>{12, 24, 36, 48});
  y.fill(std::numeric_limits<double>::quiet_NaN());
  Matrix target = y.mutable_matrix();
  kernels().accumulate(*s.device, {target, 0, target, 0});
  CHECK(y.values<float>() == std::vector<float>{0, 0, 0, 0});
}

TEST_CASE("kernels respect the distance between rows") {
  Tensor x = make_tensor(s.device, {2, 3}, DType::f32, {1, 2, 3, 4, 5, 6});
  ConstMatrix middle = x.matrix();
  middle = column_range(middle, 1, 2);
  Tensor y = Tensor::zeros(s.device, {2, 2}, DType::f32), sum = Tensor::zeros(s.device, {1, 2}, DType::f32);
  kernels().accumulate(*s.device, {middle, 1, y.mutable_matrix(), 0});
  CHECK(y.values<float>() == std::vector<float>{2, 3, 5, 6});
  kernels().column_sum(*s.device, {middle, sum.mutable_matrix()});
  CHECK(sum.values<float>() == std::vector<float>{7, 9});
  CHECK(l2_norm(s.device, middle) == std::sqrt(4.0 + 9 + 25 + 36));
}

TEST_CASE("f16 from a misaligned address: normal, subnormal, infinite, NaN") {
  std::uint16_t halves[] = {0x3c00, 0x0001, 0xfc00, 0x7e00, 0x83ff, 0x7bff};
  auto bytes = std::make_shared<std::vector<char>>(sizeof(halves) + 1);
  std::memcpy(bytes->data() + 1, halves, sizeof(halves));
  Weight x = place(s.device, {bytes->data() + 1, sizeof(halves), bytes}, DType::f16, {1, 6}, DType::f16);
  Tensor y = Tensor::zeros(s.device, {1, 6}, DType::f64);
  kernels().accumulate(*s.device, {x.view(), 1, y.mutable_matrix(), 0});
  std::vector<double> v = y.values<double>();
  CHECK(v[0] == 1);
  CHECK(v[1] == 0x1p-24);
  CHECK(v[2] == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(v[3]));
  CHECK(v[4] == -1023 * 0x1p-24);
  CHECK(v[5] == 65504);
}

TEST_CASE("l2_norm is the same for any number of threads, and shows a NaN") {
  Tensor x = s.parameter({301, 517}, 1);
  double sum = 0;
  for (double value : read_values(x)) sum += value * value;
  double norm = l2_norm(s.device, x.matrix());
  CHECK(norm * norm == doctest::Approx(sum).epsilon(1e-12));
  DevicePtr one = test_device(1);
  Tensor same = Setting{one, DType::f32, 1}.parameter({301, 517}, 1);
  CHECK(l2_norm(one, same.matrix()) == norm);
  change_values<float>(x, [](auto& values) { values[1000] = std::numeric_limits<float>::quiet_NaN(); });
  CHECK(std::isnan(l2_norm(s.device, x.matrix())));
  CHECK(l2_norm(s.device, ConstMatrix{nullptr, DType::f32, 0, 3, 3}) == 0);
}

TEST_CASE("adamw against its formula over three steps") {
  Tensor half = make_tensor(s.device, {1, 1}, DType::f64, {0.5});
  for (DType dtype : {DType::f64, DType::f32}) {
    Tensor p = make_tensor(s.device, {7, 77}, dtype, s.normal(539, 1)), m = Tensor::zeros(s.device, {7, 77}, dtype);
    Tensor v = Tensor::zeros(s.device, {7, 77}, dtype);
    std::vector<double> rp = read_values(p), rm(539), rv(539);
    for (std::int64_t step = 1; step <= 3; ++step) {
      std::vector<double> g = s.normal(539, 10 + static_cast<std::uint64_t>(step));
      Tensor gradient = make_tensor(s.device, {7, 77}, dtype, g);
      AdamWTensor tensors[] = {{p.mutable_matrix(), m.mutable_matrix(), v.mutable_matrix(), gradient.matrix()}};
      kernels().adamw(*s.device, {.tensors = tensors,
                                  .lr = 1e-2,
                                  .beta1 = 0.9,
                                  .beta2 = 0.99,
                                  .eps = 1e-8,
                                  .weight_decay = 0.1,
                                  .grad_scale = half.data<double>(),
                                  .step = step});
      for (std::size_t i = 0; i < 539; ++i) {
        double scaled = 0.5 * g[i];
        rp[i] -= 1e-2 * 0.1 * rp[i];
        rm[i] = 0.9 * rm[i] + 0.1 * scaled;
        rv[i] = 0.99 * rv[i] + 0.01 * scaled * scaled;
        double corrected_m = rm[i] / (1 - std::pow(0.9, step)), corrected_v = rv[i] / (1 - std::pow(0.99, step));
        rp[i] -= 1e-2 * corrected_m / (std::sqrt(corrected_v) + 1e-8);
      }
    }
    std::vector<double> found = read_values(p);
    for (std::size_t i = 0; i < 539; ++i) CHECK(std::abs(found[i] - rp[i]) < (dtype == DType::f64 ? 1e-13 : 1e-6));
  }
}

TEST_CASE("a product is right however its result is cut into tiles: thousands of rows, or of columns") {
  // dW of a head over a large vocabulary has more rows than there are tiles to share them out to.
  constexpr std::int64_t k = 3;
  for (auto [m, n] : {std::pair<std::int64_t, std::int64_t>{9000, 5}, {5, 9000}, {8193, 193}}) {
    Tensor a = s.parameter({m, k}, 1), b = s.parameter({k, n}, 2), c = Tensor::zeros(s.device, {m, n}, DType::f32);
    CAPTURE(c.rows());
    GemmArgs args;
    args.a = a.matrix();
    args.b = b.matrix();
    args.c = c.mutable_matrix();
    gemm(*s.device, args);
    std::vector<double> x = read_values(a), y = read_values(b), z = read_values(c);
    double worst = 0;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = -z[static_cast<std::size_t>(i * n + j)];
        for (std::int64_t l = 0; l < k; ++l)
          sum += x[static_cast<std::size_t>(i * k + l)] * y[static_cast<std::size_t>(l * n + j)];
        worst = std::max(worst, std::fabs(sum));
      }
    CHECK(worst < 1e-5);
  }
}

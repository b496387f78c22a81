#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "ops/cpu/cpu_device.h"
#include "ops/gemm.h"
#include "tests/ops/op_case.h"

using namespace loragrad;

namespace {

/// A product whose b begins at an address that is a multiple of its element's size and of nothing more, as tensors in a
/// file may; its rows are further apart than they are long.
struct Product {
  Product(int threads, std::int64_t rows, std::int64_t k, std::int64_t n, bool transpose_b, DType type_a, DType type_b,
          DType type_c)
      : s{cpu_device(threads), type_a, 7}, transpose_b(transpose_b) {
    a = make_tensor(s.device, {rows, k}, type_a, s.normal(rows * k, 1));
    Shape shape = transpose_b ? Shape{n, k + 3} : Shape{k, n + 3};
    Tensor whole = make_tensor(s.device, shape, type_b, s.normal(shape.numel(), 2));
    memory.resize(whole.bytes() + 128);
    odd = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) + size_of(type_b);
    std::memcpy(odd, whole.matrix().data, whole.bytes());
    b = {odd, type_b, shape.rows, shape.cols - 3, shape.cols};
    bias = s.parameter({1, n}, 3);
    before = make_tensor(s.device, {rows, n}, type_c, s.normal(rows * n, 4));
    c = make_tensor(s.device, {rows, n}, type_c, s.normal(rows * n, 4));
    values_b = read_values(whole);
  }

  void run(double alpha, double beta, bool with_bias) {
    GemmArgs g;
    g.c = c.mutable_matrix();
    g.a = a.matrix();
    g.b = b;
    g.transpose_b = transpose_b;
    g.alpha = alpha;
    g.beta = beta;
    g.bias = with_bias ? bias.matrix().data : nullptr;
    gemm(*s.device, g);
  }

  /// The largest difference from the product in f64, of elements of about sqrt(k).
  double error(double alpha, double beta, bool with_bias) const {
    std::vector<double> x = read_values(a), y = read_values(c), start = read_values(before), add = read_values(bias);
    std::int64_t k = a.cols(), n = c.cols();
    double worst = 0;
    for (std::int64_t i = 0; i < c.rows(); ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::int64_t p = 0; p < k; ++p)
          sum += x[static_cast<std::size_t>(i * k + p)] *
                 values_b[static_cast<std::size_t>(transpose_b ? j * b.stride + p : p * b.stride + j)];
        auto at = static_cast<std::size_t>(i * n + j);
        double wanted = alpha * sum + (with_bias ? add[static_cast<std::size_t>(j)] : 0) + beta * start[at];
        worst = std::max(worst, std::fabs(wanted - y[at]) / std::max(1.0, std::fabs(wanted)));
      }
    return worst;
  }

  Setting s;
  bool transpose_b;
  Tensor a, bias, before, c;
  std::vector<std::byte> memory;
  std::byte* odd;
  ConstMatrix b;
  std::vector<double> values_b;
};

}  // namespace

TEST_CASE("products of a few rows against f64: every mixture of types, odd sizes, misaligned weights") {
  for (bool transpose_b : {true, false})
    for (DType type_a : {DType::f32, DType::bf16})
      for (DType type_b : {DType::f32, DType::bf16})
        for (std::int64_t rows : {1, 2, 3, 4, 5})
          for (auto [k, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {67, 5}, {259, 301}, {16, 1025}}) {
            CAPTURE(transpose_b);
            CAPTURE(rows);
            CAPTURE(name_of(type_a));
            CAPTURE(name_of(type_b));
            double tolerance = type_a == DType::f32 ? 1e-5 : 5e-3;
            Product plain(2, rows, k, n, transpose_b, type_a, type_b, type_a);
            CAPTURE(plain.a.cols());
            plain.run(1, 0, true);
            CHECK(plain.error(1, 0, true) < tolerance);
            Product added(2, rows, k, n, transpose_b, type_a, type_b, type_a);
            added.run(0.75, 2, false);
            CHECK(added.error(0.75, 2, false) < 2 * tolerance);
          }
}

TEST_CASE("products of a few rows are the same bits for any number of threads") {
  for (bool transpose_b : {true, false})
    for (DType type : {DType::f32, DType::bf16}) {
      auto bits = [&](int threads) {
        Product product(threads, 1, 513, 1031, transpose_b, type, type, DType::f32);
        product.run(1, 0, true);
        return product.c.values<float>();
      };
      std::vector<float> one = bits(1);
      for (int threads : {2, 3, 7}) CHECK(bits(threads) == one);
    }
}

TEST_CASE("a NaN in c is no part of a product that does not add to it") {
  Product product(1, 2, 33, 17, true, DType::f32, DType::f32, DType::f32);
  product.c.fill(std::nan(""));
  product.run(1, 0, false);
  CHECK(product.error(1, 0, false) < 1e-5);
}

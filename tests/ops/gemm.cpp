#include "ops/gemm.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "ops/cpu/cpu_device.h"
#include "ops/cpu/gemm_library.h"
#include "ops/cpu/gemm_tiles.h"
#include "tests/ops/op_case.h"

using namespace loragrad;

namespace {

struct Product {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  bool bias = false;
  double beta = 0;
};

struct Outcome {
  std::vector<double> c;
  double error = 0;  // the largest, of elements of about sqrt(k)
};

Outcome multiply(const Product& p, DType type, DType weight, DType result, int threads) {
  Setting s{cpu_device(threads), type, 7};
  Shape a_shape = p.transpose_a ? Shape{p.k, p.m} : Shape{p.m, p.k};
  Shape b_shape = p.transpose_b ? Shape{p.n, p.k} : Shape{p.k, p.n};
  auto values = [&](Shape shape, std::uint64_t stream) { return s.normal(shape.numel(), stream); };
  Tensor a = make_tensor(s.device, a_shape, type, values(a_shape, 1));
  Tensor b = make_tensor(s.device, b_shape, weight, values(b_shape, 2));
  Tensor c = make_tensor(s.device, {p.m, p.n}, result, values({p.m, p.n}, 3));
  Tensor bias = make_tensor(s.device, {1, p.n}, type == DType::f64 ? type : DType::f32, values({1, p.n}, 4));
  std::vector<double> before = read_values(c), x = read_values(a), w = read_values(b), add = read_values(bias);

  GemmArgs g;
  g.c = c.mutable_matrix();
  g.a = a.matrix();
  g.b = b.matrix();
  g.transpose_a = p.transpose_a;
  g.transpose_b = p.transpose_b;
  g.beta = p.beta;
  g.bias = p.bias ? bias.matrix().data : nullptr;
  gemm(*s.device, g);

  Outcome outcome{read_values(c)};
  auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  for (std::int64_t i = 0; i < p.m; i += i < 40 ? 1 : 37)
    for (std::int64_t j = 0; j < p.n; ++j) {
      double sum = p.bias ? add[at(j)] : 0;
      for (std::int64_t t = 0; t < p.k; ++t)
        sum += x[at(p.transpose_a ? t * p.m + i : i * p.k + t)] * w[at(p.transpose_b ? j * p.k + t : t * p.n + j)];
      std::size_t element = at(i * p.n + j);
      sum += p.beta * before[element];
      outcome.error = std::max(outcome.error, std::abs(sum - outcome.c[element]) /
                                                  std::max(std::sqrt(static_cast<double>(p.k)), std::abs(sum)));
    }
  return outcome;
}

const std::vector<Product> products = {
    {.m = 1043, .n = 131, .k = 333, .transpose_b = true, .bias = true},
    {.m = 1043, .n = 131, .k = 333},
    {.m = 513, .n = 67, .k = 1100, .transpose_b = true},
    {.m = 37, .n = 193, .k = 70},
    {.m = 521, .n = 70, .k = 67, .transpose_b = true, .beta = 1},
    {.m = 521, .n = 67, .k = 4099, .transpose_b = true},
    {.m = 521, .n = 16, .k = 130, .transpose_b = true},
    {.m = 37, .n = 901, .k = 71, .transpose_b = true, .bias = true},
    {.m = 3, .n = 901, .k = 71, .transpose_b = true},
    {.m = 37, .n = 71, .k = 2901, .beta = 1},
    {.m = 300, .n = 65, .k = 901},
    {.m = 901, .n = 71, .k = 37, .transpose_a = true, .beta = 1},
    {.m = 1043, .n = 640, .k = 2051, .transpose_b = true},
};

}  // namespace

TEST_CASE("products against f64") {
  for (const Product& p : products)
    for (const std::array<DType, 3>& types : {std::array{DType::f64, DType::f64, DType::f64},
                                              {DType::f32, DType::f32, DType::f32},
                                              {DType::f32, DType::bf16, DType::f32},
                                              {DType::bf16, DType::bf16, DType::bf16},
                                              {DType::bf16, DType::bf16, DType::f32}}) {
      DType type = types[0], result = types[2];
      CAPTURE(p.m);
      CAPTURE(p.n);
      CAPTURE(p.k);
      CAPTURE(name_of(type));
      CAPTURE(name_of(result));
      double tolerance = type == DType::f64 ? 1e-12 : result == DType::f32 ? 2e-5 : 5e-3;
      CHECK(multiply(p, type, types[1], result, 2).error < tolerance);
    }
}

TEST_CASE("products are the same bits for any number of threads") {
  for (const Product& p : products)
    for (auto types : {std::array{DType::f32, DType::f32, DType::f32},
                       {DType::f32, DType::bf16, DType::f32},
                       {DType::bf16, DType::bf16, DType::bf16},
                       {DType::bf16, DType::bf16, DType::f32}}) {
      CAPTURE(p.m);
      CAPTURE(p.n);
      CAPTURE(p.k);
      for (DType type : types) CAPTURE(name_of(type));
      auto bits = [&](int threads) { return multiply(p, types[0], types[1], types[2], threads).c; };
      std::vector<double> one = bits(1);
      for (int threads : {2, 3, 4, 8, 16}) CHECK(bits(threads) == one);
    }
}

TEST_CASE("f32 times bf16 has f32's accuracy") {
  // With the identity each element is one of a's, so all its 24 bits have to be there.
  Setting s{cpu_device(2), DType::f32, 7};
  constexpr std::int64_t rows = 517, k = 96;
  std::vector<double> values = s.normal(rows * k, 1), identity(k * k);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<double>(static_cast<float>(values[i] * std::pow(10.0, static_cast<double>(i % 50) - 25)));
  for (std::size_t i = 0; i < k; ++i) identity[i * k + i] = 1;
  Tensor a = make_tensor(s.device, {rows, k}, DType::f32, values);
  Tensor b = make_tensor(s.device, {k, k}, DType::bf16, identity);
  for (bool transpose_b : {false, true}) {
    Tensor c = Tensor::zeros(s.device, {rows, k}, DType::f32);
    GemmArgs g;
    g.c = c.mutable_matrix();
    g.a = a.matrix();
    g.b = b.matrix();
    g.transpose_b = transpose_b;
    gemm(*s.device, g);
    CHECK(read_values(c) == values);
  }
}

TEST_CASE("a row that the library says stands alone has the same bits whatever is beside it") {
  Setting s{cpu_device(1), DType::f32, 7};
  constexpr std::int64_t m = 257, n = 129;  // 257: a last tile of 256 rows and one more
  for (DType type : {DType::f32, DType::bf16})
    for (bool transpose_b : {true, false})
      for (std::int64_t k : {67, 768, 1025, 5003}) {
        if (type == DType::bf16 && !cpu::library_has_bf16()) continue;
        Tensor a = make_tensor(s.device, {m, k}, type, s.normal(m * k, 1));
        Tensor b = make_tensor(s.device, transpose_b ? Shape{n, k} : Shape{k, n}, type, s.normal(n * k, 2));
        auto product = [&](Tensor& c, std::int64_t row, std::int64_t rows) {
          GemmArgs g;
          g.c = row_range(c.mutable_matrix(), row, rows);
          g.a = row_range(a.matrix(), row, rows);
          g.b = b.matrix();
          g.transpose_b = transpose_b;
          return g;
        };
        auto bits = [&](std::int64_t height) {
          Tensor c = Tensor::zeros(s.device, {m, n}, DType::f32);
          cpu::Pieces pieces{m, height};
          for (std::int64_t i = 0; i < pieces.count(); ++i) {
            GemmArgs g = product(c, pieces.begin(i), pieces.length(i));
            Workspace scratch(*s.device, cpu::library_scratch(g));
            cpu::library_gemm(g, scratch.data());
          }
          return c.values<float>();
        };
        Tensor c = Tensor::zeros(s.device, {m, n}, DType::f32);
        if (!cpu::library_rows_stand_alone(product(c, 0, m))) {
          MESSAGE("skipped: rows of ", name_of(type), " do not stand alone here, so tiles are cut by shape");
          continue;
        }
        std::vector<float> together = bits(m);
        for (std::int64_t height : {2, 3, 5, 16, 17, 31, 48, 100, 128, 176, 256}) CHECK(bits(height) == together);
      }
}

TEST_CASE("a product without terms is zero") {
  Setting s{cpu_device(2), DType::f32, 7};
  Tensor a = Tensor::zeros(s.device, {3, 0}, DType::f32), b = Tensor::zeros(s.device, {0, 5}, DType::f32);
  Tensor c = s.parameter({3, 5}, 1);
  GemmArgs g;
  g.c = c.mutable_matrix();
  g.a = a.matrix();
  g.b = b.matrix();
  gemm(*s.device, g);
  for (float value : c.values<float>()) CHECK(value == 0);
}

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/error.h"
#include "engine/half.h"
#include "ops/cpu/cpu_device.h"
#include "ops/gemm.h"
#include "tests/ops/op_case.h"

using namespace loragrad;

namespace {

struct Types {
  DType a, b, c;
};
constexpr Types mixtures[] = {{DType::f32, DType::f32, DType::f32},    {DType::f32, DType::bf16, DType::f32},
                              {DType::f32, DType::f16, DType::f32},    {DType::bf16, DType::f32, DType::bf16},
                              {DType::bf16, DType::bf16, DType::bf16}, {DType::bf16, DType::f16, DType::bf16},
                              {DType::bf16, DType::bf16, DType::f32},  {DType::f32, DType::f32, DType::bf16}};
constexpr Types mixtures_f64[] = {{DType::f64, DType::f64, DType::f64},
                                  {DType::f64, DType::f32, DType::f64},
                                  {DType::f64, DType::bf16, DType::f64},
                                  {DType::f64, DType::f16, DType::f64}};

/// A product whose b begins at an address that is a multiple of its element's size and of nothing more, as tensors in a
/// file may; its rows are further apart than they are long, with NaN between them.
struct Product {
  Product(int threads, std::int64_t rows, std::int64_t k, std::int64_t n, bool transpose_b, Types types)
      : s{cpu_device(threads), types.a, 7}, transpose_b(transpose_b) {
    a = make_tensor(s.device, {rows, k}, types.a, s.normal(rows * k, 1));
    Shape shape = transpose_b ? Shape{n, k} : Shape{k, n};
    values_b = s.normal(shape.numel(), 2);
    std::size_t size = size_of(types.b);
    std::int64_t stride = shape.cols + 3;
    memory.resize(static_cast<std::size_t>(shape.rows * stride) * size + 128, std::byte{0xff});
    std::byte* odd = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) + size;
    for (std::int64_t i = 0; i < shape.numel(); ++i)
      store(values_b[static_cast<std::size_t>(i)], types.b,
            odd + static_cast<std::size_t>(i / shape.cols * stride + i % shape.cols) * size);
    b = {odd, types.b, shape.rows, shape.cols, stride};
    bias = s.parameter({1, n}, 3);
    before = s.normal(rows * n, 4);
    c = make_tensor(s.device, {rows, n}, types.c, before);
  }

  /// `value` as it is rounded to the type.
  static void store(double& value, DType type, std::byte* to) {
    auto put = [&](auto number) { std::memcpy(to, &number, sizeof number); };
    auto narrow = static_cast<float>(value);
    if (type == DType::f64) return put(value);
    if (type == DType::f32) put(narrow);
    if (type == DType::bf16) put(bf16(narrow));
    if (type == DType::f16) {
      put(to_f16(narrow));
      value = static_cast<double>(static_cast<float>(to_f16(narrow)));
    }
  }

  GemmArgs args(double alpha, double beta, bool with_bias) {
    GemmArgs g;
    g.c = c.mutable_matrix();
    g.a = a.matrix();
    g.b = b;
    g.transpose_b = transpose_b;
    g.alpha = alpha;
    g.beta = beta;
    g.bias = with_bias ? bias.matrix().data : nullptr;
    return g;
  }
  void run(double alpha, double beta, bool with_bias) { gemm(*s.device, args(alpha, beta, with_bias)); }

  /// c's bytes when `count` rows from `first` on are multiplied alone, the others left out.
  std::vector<std::byte> bits_of_rows(std::int64_t first, std::int64_t count, bool adds) {
    Tensor fresh = make_tensor(s.device, c.shape(), c.dtype(), before);
    GemmArgs g = adds ? args(0.75, 1, false) : args(1, 0, true);
    g.rows_alone = true;
    g.a = row_range(g.a, first, count);
    g.c = row_range(fresh.mutable_matrix(), first, count);
    gemm(*s.device, g);
    const auto* data = static_cast<const std::byte*>(g.c.data);
    return {data, data + bytes_of(c.dtype(), count * c.cols())};
  }

  /// The largest difference from the product in f64, of elements of about sqrt(k).
  double error(double alpha, double beta, bool with_bias) const {
    std::vector<double> x = read_values(a), y = read_values(c), add = read_values(bias);
    std::int64_t k = a.cols(), n = c.cols();
    double worst = 0;
    for (std::int64_t i = 0; i < c.rows(); ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::int64_t p = 0; p < k; ++p)
          sum += x[static_cast<std::size_t>(i * k + p)] *
                 values_b[static_cast<std::size_t>(transpose_b ? j * k + p : p * n + j)];
        auto at = static_cast<std::size_t>(i * n + j);
        double wanted = alpha * sum + (with_bias ? add[static_cast<std::size_t>(j)] : 0) + beta * before[at];
        double off = std::fabs(wanted - y[at]) / std::max(1.0, std::fabs(wanted));
        if (!(off <= worst)) worst = off;  // NaN too
      }
    return worst;
  }

  Setting s;
  bool transpose_b;
  Tensor a, bias, c;
  std::vector<std::byte> memory;
  ConstMatrix b;
  std::vector<double> values_b, before;
};

std::vector<Types> all_mixtures() {
  std::vector<Types> all(std::begin(mixtures), std::end(mixtures));
  all.insert(all.end(), std::begin(mixtures_f64), std::end(mixtures_f64));
  return all;
}

}  // namespace

TEST_CASE(
    "products of a few rows, and of rows alone, against f64: every mixture of types, odd sizes, misaligned weights") {
  for (bool transpose_b : {true, false})
    for (bool alone : {false, true})
      for (const Types& types : all_mixtures())
        for (std::int64_t rows : {1, 2, 3, 4, 5, 19})
          for (auto [depth, width] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {67, 5}, {259, 301}, {16, 1025}}) {
            std::int64_t k = depth, n = width;  // as clang 14 wants it for CAPTURE
            // The libraries' c is f32 or of a's type.
            if (!alone && rows > 4 && types.a == DType::f32 && types.c == DType::bf16) continue;
            CAPTURE(transpose_b);
            CAPTURE(alone);
            CAPTURE(rows);
            CAPTURE(k);
            CAPTURE(name_of(types.a));
            CAPTURE(name_of(types.b));
            double tolerance = types.c == DType::bf16 ? 5e-3 : types.a == DType::f64 ? 1e-12 : 1e-5;
            auto error = [&](double alpha, double beta, bool with_bias) {
              Product product(2, rows, k, n, transpose_b, types);
              GemmArgs g = product.args(alpha, beta, with_bias);
              g.rows_alone = alone;
              gemm(*product.s.device, g);
              return product.error(alpha, beta, with_bias);
            };
            // a weight of another type than more rows of bf16 is rounded to it (gemm.cpp)
            if (!alone && rows > 4 && types.a == DType::bf16 && types.b != DType::bf16) tolerance = 2e-2;
            CHECK(error(1, 0, true) < tolerance);
            CHECK(error(0.75, 2, false) < 2 * tolerance);
          }
}

TEST_CASE("rows alone: the same bits however many rows are multiplied with one, for any number of threads") {
  constexpr std::int64_t most = 40;
  for (bool transpose_b : {true, false})
    for (const Types& types : all_mixtures())
      for (auto [depth, width] : {std::pair<std::int64_t, std::int64_t>{8, 37}, {131, 5}, {777, 70}, {35, 530}}) {
        std::int64_t k = depth, n = width;
        CAPTURE(transpose_b);
        CAPTURE(k);
        CAPTURE(n);
        CAPTURE(name_of(types.a));
        CAPTURE(name_of(types.b));
        CAPTURE(name_of(types.c));
        for (bool adds : {false, true}) {
          std::vector<std::byte> whole = Product(1, most, k, n, transpose_b, types).bits_of_rows(0, most, adds);
          std::size_t row_bytes = whole.size() / most;
          for (int threads : {1, 2, 3}) {
            Product product(threads, most, k, n, transpose_b, types);
            auto differs = [&](std::int64_t first, std::int64_t count) {
              std::vector<std::byte> some = product.bits_of_rows(first, count, adds);
              return !std::equal(some.begin(), some.end(),
                                 whole.begin() + first * static_cast<std::int64_t>(row_bytes));
            };
            for (std::int64_t m = 1; m <= most; ++m) {
              if (differs(0, m)) FAIL_CHECK("the first ", m, " rows, ", threads, " threads");
              if (differs(m - 1, 1)) FAIL_CHECK("row ", m - 1, ", ", threads, " threads");
              if (differs(most - m, m)) FAIL_CHECK("the last ", m, " rows, ", threads, " threads");
            }
          }
        }
      }
}

TEST_CASE("rows alone of f64 in every instruction set: vectors of two lanes, too") {
  for (const Types& types : mixtures_f64)
    for (std::int64_t rows : {1, 2, 3, 7}) {
      Product product(1, rows, 2100, 9, true, types);
      GemmArgs g = product.args(0.75, 2, false);
      g.rows_alone = true;
      gemm(*product.s.device, g);
      CHECK(product.error(0.75, 2, false) < 1e-11);
    }
}

TEST_CASE("rows alone of many rows: those that are converted apart, and those that threads share out") {
  for (const Types& types : {mixtures[0], mixtures[3], mixtures[4]}) {
    CAPTURE(name_of(types.b));
    Product product(3, 601, 40, 17, true, types);
    std::vector<std::byte> whole = product.bits_of_rows(0, 601, false);
    std::size_t row_bytes = whole.size() / 601;
    for (std::int64_t row : {0, 255, 256, 399, 512, 600}) {
      std::vector<std::byte> alone = product.bits_of_rows(row, 1, false);
      CHECK(std::equal(alone.begin(), alone.end(), whole.begin() + row * static_cast<std::int64_t>(row_bytes)));
    }
  }
}

TEST_CASE("products of up to four rows have the bits of rows alone") {
  for (bool transpose_b : {true, false})
    for (const Types& types : mixtures)
      for (std::int64_t rows : {1, 3, 4}) {
        Product product(2, rows, 300, 77, transpose_b, types);
        product.run(1, 0, true);
        const auto* data = static_cast<const std::byte*>(product.c.matrix().data);
        CHECK(std::vector<std::byte>(data, data + product.c.bytes()) == product.bits_of_rows(0, rows, false));
      }
}

TEST_CASE("a NaN in c is no part of a product that does not add to it") {
  Product product(1, 2, 33, 17, true, mixtures[0]);
  product.c.fill(std::nan(""));
  product.run(1, 0, false);
  CHECK(product.error(1, 0, false) < 1e-5);
}

TEST_CASE("rows alone are refused of a transposed a") {
  Product product(1, 5, 5, 5, true, mixtures[0]);
  GemmArgs g = product.args(1, 0, false);
  g.transpose_a = g.rows_alone = true;
  CHECK_THROWS_WITH_AS(gemm(*product.s.device, g), "gemm: rows alone of a transposed a", UsageError);
}

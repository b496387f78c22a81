// Products against sums in f64: by the library, plain, of a few rows, converted and dropped out; of any shape, with
// operands anywhere in memory.
#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "engine/error.h"
#include "engine/tensor.h"
#include "ops/cuda/gpu.h"
#include "ops/cuda/products.h"
#include "tests/cuda_emulation/emulated_device.h"
#include "tests/cuda_emulation/fake_cublaslt.h"
#include "tests/ops/gemm_case.h"

using namespace loragrad;

namespace {

using Index = std::int64_t;
using Random = std::mt19937;

template <class F>
auto with_element(DType dtype, F f) {
  if (dtype == DType::f64) return f(double{});
  if (dtype == DType::f32) return f(float{});
  if (dtype == DType::f16) return f(f16{});
  return f(bf16{});
}

template <class X>
X rounded(double value) {
  return X(static_cast<float>(value));
}
/// Of values that f16 has, which are normal numbers there, zero or NaN.
template <>
f16 rounded<f16>(double value) {
  auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  std::uint32_t sign = bits >> 16 & 0x8000u, magnitude = (bits & 0x7fffffffu) >> 13;
  f16 half;
  half.bits = static_cast<std::uint16_t>(value == 0          ? 0
                                         : std::isnan(value) ? 0x7e00u
                                                             : sign | (magnitude - (112u << 10)));
  return half;
}

std::vector<double> read(const Tensor& t) {
  return with_element(t.dtype(), [&](auto element) {
    std::vector<double> out;
    for (auto value : t.values<decltype(element)>())
      if constexpr (std::is_arithmetic_v<decltype(element)>)
        out.push_back(value);
      else
        out.push_back(static_cast<float>(value));
    return out;
  });
}

/// A matrix with `pad` elements between its rows, `offset` elements into an allocation. What lies around it is NaN, and
/// stays so; what is in it, if it is `empty`, too.
struct Stored {
  Stored(const DevicePtr& device, DType type, Index rows, Index cols, Index pad, Index offset, Random& random,
         bool empty = false)
      : rows(rows), cols(cols), stride(cols + pad), offset(offset) {
    Index size = offset + (rows > 0 ? (rows - 1) * stride + cols : 0);
    std::vector<double> all(static_cast<std::size_t>(size), std::numeric_limits<double>::quiet_NaN());
    std::uniform_int_distribution<int> eighths(-16, 16);  // exact in every type
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < cols && !empty; ++j) all[at(i, j)] = eighths(random) / 8.0;
    memory = with_element(type, [&](auto element) {
      using X = decltype(element);
      std::vector<X> values;
      for (double value : all) values.push_back(rounded<X>(value));
      return Tensor::from(device, {1, size}, std::move(values));
    });
    values = std::move(all);
    auto* data = static_cast<std::byte*>(memory.mutable_matrix().data) + bytes_of(type, offset);
    matrix = {data, type, rows, cols, stride};
  }
  std::size_t at(Index i, Index j) const { return static_cast<std::size_t>(offset + i * stride + j); }
  double operator()(Index i, Index j) const { return values[at(i, j)]; }
  Index rows, cols, stride, offset;
  Tensor memory;
  std::vector<double> values;
  Matrix matrix;
};

using Case = test::GemmCase;

/// What dropout multiplies an element by.
struct Factors {
  Factors(const DevicePtr& device, const DropoutMask& mask, const ConstMatrix& target) : cols(target.cols) {
    if (!mask.on()) return;
    Tensor ones = Tensor::empty(device, {target.rows, target.cols}, DType::f64);
    ones.fill(1);
    device->kernels().dropout(*device, {.x = ones.matrix(), .y = ones.mutable_matrix(), .mask = mask});
    values = ones.values<double>();
  }
  double operator()(Index i, Index j) const {
    return values.empty() ? 1 : values[static_cast<std::size_t>(i * cols + j)];
  }
  Index cols;
  std::vector<double> values;
};

enum class Way { library, gemm };

void check(const DevicePtr& device, const Case& p, Random& random, Way way) {
  Stored a(device, p.type, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.pad_a, p.offset_a, random);
  Stored b(device, p.weight, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.pad_b, p.offset_b, random);
  Stored c(device, p.result, p.m, p.n, p.pad_c, p.offset_c, random, p.beta == 0);  // not to be read then
  Stored bias(device, accumulation_type(p.result), 1, p.n, 0, p.offset_bias, random);
  GemmArgs g{.c = c.matrix,
             .a = a.matrix,
             .b = ConstMatrix(b.matrix),
             .transpose_a = p.transpose_a,
             .transpose_b = p.transpose_b,
             .alpha = p.alpha,
             .beta = p.beta,
             .bias = p.bias ? bias.matrix.data : nullptr,
             .dropout = p.dropout,
             .dropped = p.dropped};
  Factors factors(device, p.dropout,
                  p.dropped == Dropped::a   ? a.matrix
                  : p.dropped == Dropped::b ? b.matrix
                                            : c.matrix);
  if (way == Way::library)
    cuda::gpu_of(*device).products().multiply(*device, g);
  else
    device->kernels().gemm(*device, g);

  std::vector<double> after = read(c.memory), wanted = c.values;
  double error = 0, tolerance = p.type == DType::f64 ? 1e-12 : p.result == DType::bf16 || p.bias ? 5e-3 : 1e-6;
  for (Index i = 0; i < p.m; ++i)
    for (Index j = 0; j < p.n; ++j) {
      double sum = 0;
      for (Index t = 0; t < p.k; ++t) {
        Index a_row = p.transpose_a ? t : i, a_col = p.transpose_a ? i : t;
        Index b_row = p.transpose_b ? j : t, b_col = p.transpose_b ? t : j;
        double term = a(a_row, a_col) * b(b_row, b_col);
        if (p.dropped == Dropped::a) term *= factors(a_row, a_col);
        if (p.dropped == Dropped::b) term *= factors(b_row, b_col);
        sum += term;
      }
      if (p.dropped == Dropped::product) sum *= factors(i, j);
      double& value = wanted[c.at(i, j)];
      value = p.alpha * sum + (p.bias ? bias(0, j) : 0) + (p.beta == 0 ? 0 : p.beta * value);
      double off = std::abs(value - after[c.at(i, j)]) / std::max(1.0, std::abs(value));
      if (off > error || std::isnan(off)) error = std::isnan(off) ? std::numeric_limits<double>::infinity() : off;
    }
  if (!(error < tolerance)) FAIL_CHECK(p.text(), ": off by ", error);
  // Around c nothing has changed.
  for (Index i = 0; i < p.m; ++i)
    for (Index j = 0; j < p.n; ++j) after[c.at(i, j)] = std::nan("");
  for (double value : after)
    if (!std::isnan(value)) FAIL_CHECK(p.text(), ": wrote beside c");
}

constexpr DType f64 = DType::f64, f32 = DType::f32, b16 = DType::bf16, h16 = DType::f16;

}  // namespace

TEST_CASE("products by the library: all types, transposes, strides, odd sizes, bias, beta") {
  DevicePtr device = test::emulated_device();
  Random random(1);
  constexpr DType types[][2] = {{f64, f64}, {f32, f32}, {b16, b16}, {b16, f32}, {f32, b16}, {b16, f64}, {f64, f32}};
  auto any = [&](std::vector<Index> values) { return values[random() % values.size()]; };
  for (int i = 0; i < 600; ++i) {
    auto size = [&] { return any({1, 2, 3, 7, 8, 9, 16, 33, 64, 65, 100}); };
    Case p{.m = size(), .n = size(), .k = size()};
    p.transpose_a = random() % 2;
    p.transpose_b = random() % 2;
    for (Index* pad : {&p.pad_a, &p.pad_b, &p.pad_c}) *pad = any({0, 0, 1, 3, 8, 16});
    for (Index* offset : {&p.offset_a, &p.offset_b, &p.offset_c}) *offset = any({0, 0, 1, 2, 3, 8});
    p.offset_bias = any({0, 0, 1, 2, 4});
    p.bias = random() % 2;
    p.alpha = random() % 2 ? 0.75 : 1;
    p.beta = random() % 2;
    const auto& [type, result] = types[random() % std::size(types)];
    p.type = p.weight = type;
    p.result = result;
    check(device, p, random, Way::library);
  }
}

TEST_CASE("products of a few rows: every mixture of types, odd sizes, weights anywhere") {
  DevicePtr device = test::emulated_device();
  Random random(2);
  auto any = [&](std::vector<Index> values) { return values[random() % values.size()]; };
  for (int i = 0; i < 150; ++i) {
    Case p{.m = 1 + static_cast<Index>(random() % 8),
           .n = any({1, 5, 8, 63, 64, 65, 130}),
           .k = any({1, 7, 8, 67, 256, 301, 520})};
    p.transpose_b = random() % 2;
    if (random() % 2) {
      for (Index* pad : {&p.pad_a, &p.pad_b, &p.pad_c}) *pad = any({0, 1, 3});
      for (Index* offset : {&p.offset_a, &p.offset_b, &p.offset_c}) *offset = any({0, 1, 2});
    } else {  // rows that begin where vectors may, whether or not they end there
      p.pad_a = 8 - p.k % 8;
      p.pad_b = 8 - (p.transpose_b ? p.k : p.n) % 8;
    }
    p.bias = random() % 2;
    p.alpha = random() % 2 ? 0.75 : 1;
    p.beta = random() % 2;
    p.type = random() % 2 ? f32 : b16;
    p.weight = std::array{f32, b16, h16}[random() % 3];
    p.result = random() % 2 ? f32 : b16;
    check(device, p, random, Way::gemm);
  }
  for (bool transpose_b : {true, false})
    for (DType type : {f32, b16})  // groups of several warps, and sums in parts
      for (Index m : {1, 2, 4, 8})
        check(device,
              {.m = m, .n = 16, .k = 4096 + 24, .transpose_b = transpose_b, .bias = true, .type = type, .weight = type},
              random, Way::gemm);
}

TEST_CASE("a weight in another type") {
  DevicePtr device = test::emulated_device();
  Random random(3);
  for (auto [type, weight, result] :
       {std::array{f32, b16, f32}, {b16, f32, b16}, {f32, h16, f32}, {b16, h16, b16}, {f64, f32, f64}, {f64, b16, f64}})
    for (bool transpose_b : {true, false})
      for (bool bias : {true, false})
        check(device,
              {.m = 150,
               .n = 135,
               .k = 131,
               .transpose_b = transpose_b,
               .pad_b = 3,
               .bias = bias,
               .type = type,
               .weight = weight,
               .result = result},
              random, Way::gemm);
}

TEST_CASE("a weight in another type that is converted in pieces") {
  DevicePtr device = test::emulated_device();
  Random random(4);
  // Of 64 columns each, as k is more than a quarter of a million.
  check(device, {.m = 9, .n = 150, .k = 300'000, .transpose_b = true, .bias = true, .weight = b16}, random, Way::gemm);
}

TEST_CASE("dropout of either operand or of the product") {
  DevicePtr device = test::emulated_device();
  Random random(5);
  DropoutMask mask{.p = 0.5, .key = 77};  // what is kept is doubled, which is exact
  std::vector<std::int32_t> places;
  for (std::int32_t i = 0; i < 300; ++i) places.insert(places.end(), {i / 100, i % 100});
  Tensor tokens = Tensor::from(device, {300, 2}, places.data());
  mask.tokens = tokens.data<std::int32_t>();
  for (DType type : {f64, f32, b16})
    for (Dropped dropped : {Dropped::a, Dropped::b, Dropped::product})
      for (bool transpose_a : {true, false})
        for (bool transpose_b : {true, false})
          check(device,
                {.m = 140,
                 .n = 150,
                 .k = 133,
                 .transpose_a = transpose_a,
                 .transpose_b = transpose_b,
                 .alpha = 0.5,
                 .beta = 1,
                 .type = type,
                 .weight = type,
                 .result = accumulation_type(type),
                 .dropout = mask,
                 .dropped = dropped},
                random, Way::gemm);
}

TEST_CASE("products that are empty, or have no terms") {
  DevicePtr device = test::emulated_device();
  Random random(6);
  for (DType type : {f32, b16})
    for (bool bias : {true, false})
      for (double beta : {0.0, 1.0}) {
        check(device,
              {.m = 30,
               .n = 17,
               .k = 0,
               .pad_c = 2,
               .beta = beta,
               .bias = bias,
               .type = type,
               .weight = type,
               .result = type},
              random, Way::gemm);
        check(device, {.m = 0, .n = 17, .k = 20, .beta = beta, .bias = bias}, random, Way::gemm);
        check(device, {.m = 30, .n = 0, .k = 20, .beta = beta, .bias = bias}, random, Way::gemm);
      }
}

TEST_CASE("what does not fit is refused") {
  DevicePtr device = test::emulated_device();
  Tensor a = Tensor::zeros(device, {30, 20}, f32), b = Tensor::zeros(device, {21, 40}, f32),
         c = Tensor::zeros(device, {30, 40}, f32);
  GemmArgs g{.c = c.mutable_matrix(), .a = a.matrix(), .b = b.matrix()};
  CHECK_THROWS_WITH_AS(device->kernels().gemm(*device, g), "gemm: [30, 20] times [21, 40] into [30, 40]", ShapeError);
  g.b = row_range(b.matrix(), 0, 20);
  g.bias = b.matrix().data;
  g.dropout.p = 0.5;
  CHECK_THROWS_WITH_AS(device->kernels().gemm(*device, g), "gemm: a bias beside dropout", UsageError);
}

TEST_CASE("an algorithm is asked for once for numbers of tokens that are near each other, and depends on none before") {
  DevicePtr device = test::emulated_device();
  Random random(7);
  cuda_emulation::LibraryCalls& calls = cuda_emulation::library_calls();
  auto asked = [&](Index m) {
    calls = {};
    check(device, {.m = m, .n = 160, .k = 160}, random, Way::library);
    return calls.asked;
  };
  CHECK(asked(128) == 1);  // the library takes it as it is
  CHECK(asked(128) == 0);
  CHECK(asked(127) == 0);  // with that one's algorithm
  CHECK(asked(100) == 0);
  CHECK(asked(80) == 0);
  CHECK(asked(150) ==
        1);  // the rounded one's, which the library refuses: k and n are no matter, 150 is a multiple of 3
  CHECK(asked(191) == 0);
}

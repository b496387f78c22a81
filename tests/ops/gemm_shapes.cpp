#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "ops/cpu/cpu_device.h"
#include "ops/gemm.h"
#include "tests/ops/gemm_case.h"

using namespace loragrad;

// Libraries have had wrong corners, each version its own: single columns, rests of k, strides. So small products of
// every shape are compared with sums in f64, with operands wherever a file or a slice may put them.

namespace {

using Random = std::mt19937;

/// A stored matrix in memory of its own: `pad` elements between its rows, `offset` elements behind a multiple of 64
/// bytes. What lies around it is NaN in an operand, and must stay as it is around a result.
struct Stored {
  Stored(DType type, std::int64_t rows, std::int64_t cols, std::int64_t pad, std::int64_t offset, Random& random)
      : bytes(static_cast<std::size_t>(offset + rows * (cols + pad)) * size_of(type) + 128, std::byte{0xff}) {
    std::size_t to_boundary = 64 - reinterpret_cast<std::uintptr_t>(bytes.data()) % 64;
    matrix = {bytes.data() + to_boundary + static_cast<std::size_t>(offset) * size_of(type), type, rows, cols,
              cols + pad};
    std::uniform_int_distribution<int> eighths(-16, 16);  // exact in every type
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < cols; ++j) set(i, j, static_cast<float>(eighths(random)) / 8);
    before = bytes;
  }
  std::byte* at(std::int64_t i, std::int64_t j) const {
    return static_cast<std::byte*>(matrix.data) +
           static_cast<std::size_t>(i * matrix.stride + j) * size_of(matrix.dtype);
  }
  void set(std::int64_t i, std::int64_t j, float value) {
    bf16 rounded(value);
    matrix.dtype == DType::f32 ? std::memcpy(at(i, j), &value, 4) : std::memcpy(at(i, j), &rounded, 2);
  }
  double get(std::int64_t i, std::int64_t j) const {
    float value;
    bf16 rounded;
    if (matrix.dtype == DType::f32) return std::memcpy(&value, at(i, j), 4), value;
    return std::memcpy(&rounded, at(i, j), 2), static_cast<float>(rounded);
  }
  /// Puts the values back, and says whether anything but them had changed.
  bool restore() {
    for (std::int64_t i = 0; i < matrix.rows; ++i)
      std::memcpy(at(i, 0), before.data() + (at(i, 0) - bytes.data()),
                  static_cast<std::size_t>(matrix.cols) * size_of(matrix.dtype));
    return bytes == before;
  }
  std::vector<std::byte> bytes, before;
  Matrix matrix;
};

using Case = test::GemmCase;

void check(Device& device, const Case& p, Random& random) {
  Stored a(p.type, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.pad_a, p.offset_a, random);
  Stored b(p.weight, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.pad_b, p.offset_b, random);
  Stored c(p.result, p.m, p.n, p.pad_c, p.offset_c, random), bias(DType::f32, 1, p.n, 0, 1, random);
  std::vector<double> wanted;
  for (std::int64_t i = 0; i < p.m; ++i)
    for (std::int64_t j = 0; j < p.n; ++j) {
      double sum = 0;
      for (std::int64_t t = 0; t < p.k; ++t)
        sum += (p.transpose_a ? a.get(t, i) : a.get(i, t)) * (p.transpose_b ? b.get(j, t) : b.get(t, j));
      wanted.push_back(p.alpha * sum + (p.bias ? bias.get(0, j) : 0) + p.beta * c.get(i, j));
    }
  GemmArgs g;
  g.a = a.matrix;
  g.b = b.matrix;
  g.c = c.matrix;
  g.transpose_a = p.transpose_a;
  g.transpose_b = p.transpose_b;
  g.alpha = p.alpha;
  g.beta = p.beta;
  g.bias = p.bias ? bias.matrix.data : nullptr;
  gemm(device, g);
  // Of values that are exact in their types only the sum is rounded.
  double error = 0, tolerance = p.result == DType::f32 ? 1e-6 : 5e-3;
  for (std::int64_t i = 0; i < p.m; ++i)
    for (std::int64_t j = 0; j < p.n; ++j) {
      double value = wanted[static_cast<std::size_t>(i * p.n + j)], off = std::abs(value - c.get(i, j));
      if (!(off <= error * std::max(1.0, std::abs(value)))) error = off / std::max(1.0, std::abs(value));
    }
  if (!(error < tolerance)) FAIL_CHECK(p.text(), ": off by ", error);
  if (!c.restore()) FAIL_CHECK(p.text(), ": wrote beside c");
}

constexpr DType mixtures[][3] = {{DType::f32, DType::f32, DType::f32},
                                 {DType::bf16, DType::bf16, DType::bf16},
                                 {DType::bf16, DType::bf16, DType::f32},
                                 {DType::f32, DType::bf16, DType::f32},
                                 {DType::bf16, DType::f32, DType::bf16}};

void set_types(Case& p, std::size_t mixture) {
  p.type = mixtures[mixture][0];
  p.weight = mixtures[mixture][1];
  p.result = mixtures[mixture][2];
}

}  // namespace

TEST_CASE("every k up to 70, and weights at every offset within a cache line") {
  DevicePtr device = cpu_device(1);
  Random random(1);
  for (std::size_t mixture = 0; mixture < std::size(mixtures); ++mixture)
    for (bool transpose_b : {true, false})
      for (std::int64_t k = 1; k <= 70; ++k)
        for (std::int64_t offset = k % 3; offset < 64 / static_cast<std::int64_t>(size_of(mixtures[mixture][1]));
             offset += k % 16 == 0 ? 1 : 5) {
          Case p{.m = 5, .n = 17, .k = k, .transpose_b = transpose_b, .pad_b = 3, .offset_b = offset};
          set_types(p, mixture);
          check(*device, p, random);
        }
}

TEST_CASE("products of all small shapes, transposed or not, padded, anywhere in memory") {
  DevicePtr device = cpu_device(2);
  Random random(2);
  auto any = [&](std::vector<std::int64_t> values) { return values[random() % values.size()]; };
  for (int i = 0; i < 4000; ++i) {
    auto size = [&] {
      return random() % 4 == 0 ? any({1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 128, 129, 192, 193, 255, 256, 257, 385})
                               : any({1, 2, 4, 5, 7, 8, 9, 12, 16, 24, 31, 32, 33, 40});
    };
    Case p{.m = size(), .n = size(), .k = size()};
    while (p.m * p.n * p.k > 100000) (p.m >= p.n && p.m >= p.k ? p.m : p.n >= p.k ? p.n : p.k) /= 2;
    p.transpose_a = random() % 2;
    p.transpose_b = random() % 2;
    for (std::int64_t* pad : {&p.pad_a, &p.pad_b, &p.pad_c}) *pad = any({0, 0, 1, 3, 16, 29});
    for (std::int64_t* offset : {&p.offset_a, &p.offset_b, &p.offset_c}) *offset = any({0, 0, 1, 2, 3, 7, 8, 15});
    p.bias = random() % 2;
    if (!p.bias) p.alpha = random() % 2 ? 0.75 : 1, p.beta = static_cast<double>(any({0, 1, 2}));
    set_types(p, random() % std::size(mixtures));
    check(*device, p, random);
  }
}

TEST_CASE("what one row or column too many leaves over") {
  DevicePtr device = cpu_device(2);
  Random random(3);
  for (std::size_t mixture = 0; mixture < std::size(mixtures); ++mixture)
    for (bool transpose_b : {true, false})
      for (auto [m, n, k] :
           {std::array<std::int64_t, 3>{5, 1025, 16}, {129, 5, 3}, {513, 65, 64}, {6, 193, 31}, {5, 257, 2}})
        for (bool bias : {true, false}) {
          Case p{.m = m, .n = n, .k = k, .transpose_b = transpose_b, .pad_b = 3, .offset_b = 1, .bias = bias};
          if (!bias) p.alpha = 0.75, p.beta = 2;
          set_types(p, mixture);
          check(*device, p, random);
        }
}

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

#include "engine/dtype.h"
#include "engine/error.h"
#include "engine/random.h"

using namespace loragrad;

TEST_CASE("bf16 rounds to nearest even and keeps NaN and infinity") {
  CHECK(static_cast<float>(bf16(1.0f)) == 1.0f);
  CHECK(bf16(1.0f + 0x1p-8f).bits == bf16(1.0f).bits);                    // halfway: to even
  CHECK(static_cast<float>(bf16(1.0f + 3 * 0x1p-8f)) == 1.0f + 0x1p-6f);  // halfway: to even, upwards
  CHECK(std::isnan(static_cast<float>(bf16(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(std::isinf(static_cast<float>(bf16(std::numeric_limits<float>::infinity()))));
  CHECK(std::isinf(static_cast<float>(bf16(std::numeric_limits<float>::max()))));
}

TEST_CASE("f16 reads normals, subnormals, zeros, infinities and NaN") {
  auto half = [](std::uint16_t bits) {
    f16 h;
    h.bits = bits;
    return static_cast<float>(h);
  };
  CHECK(half(0x3c00) == 1.0f);
  CHECK(half(0xc000) == -2.0f);
  CHECK(half(0x7bff) == 65504.0f);
  CHECK(half(0x0001) == 0x1p-24f);
  CHECK(half(0x83ff) == -1023 * 0x1p-24f);
  CHECK(half(0x0000) == 0.0f);
  CHECK(std::isinf(half(0x7c00)));
  CHECK(half(0xfc00) < 0);
  CHECK(std::isnan(half(0x7e00)));
}

TEST_CASE("philox equals the published known-answer vectors") {
  // Random123's kat_vectors, philox4x32 with 10 rounds.
  CHECK(philox({0, 0, 0, 0}, 0) == std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffffu) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("uniform and normal numbers have their moments; streams differ") {
  Random random(7, 1);
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  constexpr int n = 100'000;
  for (int i = 0; i < n; ++i) {
    double u = random.uniform(), z = random.normal();
    sum += u;
    squares += u * u;
    normal_sum += z;
    normal_squares += z * z;
  }
  CHECK(std::abs(sum / n - 0.5) < 0.005);
  CHECK(std::abs(squares / n - 1.0 / 3) < 0.005);
  CHECK(std::abs(normal_sum / n) < 0.015);
  CHECK(std::abs(normal_squares / n - 1) < 0.02);
  CHECK(Random(7, 1).next() != Random(7, 2).next());
  CHECK(Random(7, 1).next() == Random(7, 1).next());
  for (int i = 0; i < 1000; ++i) CHECK(random.below(3) < 3);
}

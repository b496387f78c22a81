// Rotations that depend on the length of a row.
#include "models/rope/rope.h"

#include <doctest/doctest.h>

#include <cmath>

#include "models/rope/rope_scaling.h"
#include "tests/device/test_device.h"

using namespace loragrad;

namespace {

/// Cosines [tokens, n], then sines, of rows of these lengths.
std::vector<double> turned(const Rope& rope, const std::vector<std::size_t>& lengths) {
  DevicePtr device = test_device(2);
  std::vector<std::int32_t> ids(100, 1);
  std::vector<BatchRow> rows;
  for (std::size_t length : lengths) rows.push_back({std::span(ids).first(length), {}});
  return Rotary(rope, device)(make_batch(device, rows, 2, 0), DType::f64).values<double>();
}

}  // namespace

TEST_CASE("a row beyond the length turns by its own, the others beside it as they are") {
  Rope rope{.frequencies = {1, 0.5}, .factor = 3, .longest = 3, .beyond = [](std::int64_t tokens) {
              return std::vector<double>{10.0 * static_cast<double>(tokens), 1};
            }};
  std::vector<double> y = turned(rope, {2, 4, 3, 5});
  auto check = [&](std::size_t token, double position, double f0, double f1) {
    CAPTURE(token);
    CHECK(y.at(4 * token) == doctest::Approx(3 * std::cos(position * f0)));
    CHECK(y.at(4 * token + 1) == doctest::Approx(3 * std::cos(position * f1)));
    CHECK(y.at(4 * token + 3) == doctest::Approx(3 * std::sin(position * f1)));
  };
  check(1, 1, 1, 0.5);
  check(5, 3, 40, 1);
  check(8, 2, 1, 0.5);
  check(13, 4, 50, 1);
  CHECK(turned(rope, {2, 3}).at(4 * 4) == doctest::Approx(3 * std::cos(2)));
  rope.long_frequencies = {7, 8};
  y = turned(rope, {2, 4, 3, 5});
  check(1, 1, 1, 0.5);
  check(5, 3, 7, 8);
  check(8, 2, 1, 0.5);
  check(13, 4, 7, 8);
}

TEST_CASE("rope scaling by hand") {
  auto close = [](const std::vector<double>& found, const std::vector<double>& expected) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == doctest::Approx(expected[i]));
  };
  close(rope_frequencies(16, 4), {1, 0.25});
  close(rope_frequencies(8, 3), {1, 0.25});  // an odd number of dimensions is rounded up
  // theta (2 * 6 / 4 - 1)^(4 / 2) = 4 theta
  close(dynamic_frequencies(4, 4, 2, 4, 6), {1, 0.25});
  close(dynamic_frequencies(4, 4, 2, 4, 4), {1, 0.5});
  // d(n) = 8 ln(L / (2 pi n)) / (2 ln 10000): of L = 2 pi 10 it is 1 for one turn, and below 0 for 32.
  close(yarn_frequencies(10000, 8, {.factor = 4, .original = 62.83185307}), {1, 0.025, 0.0025, 0.00025});
  // Between the dimensions that turn once, 1, and a hundredth of it, 3, is the middle of a ramp.
  YarnScaling by{.factor = 4, .original = 62.83185307, .fast = 1, .slow = 0.01, .truncate = false};
  close(yarn_frequencies(10000, 8, by), {1, 0.1, (0.01 + 0.0025) / 2, 0.00025});
  close(longrope_frequencies(16, 4, {2, 4}), {0.5, 0.0625});
  CHECK(longrope_factor(16, 4) == doctest::Approx(std::sqrt(3)));
  CHECK(longrope_factor(0.5, 4) == 1);
  CHECK(yarn_factor(std::exp(1)) == doctest::Approx(1.1));
  CHECK(yarn_factor(std::exp(1), 2) == doctest::Approx(1.2));
  CHECK(yarn_factor(1) == 1);
}

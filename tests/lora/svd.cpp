#include "lora/merge/svd.h"

#include <algorithm>

#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

HostMatrix random_matrix(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  Random random(seed, 3);
  HostMatrix x{rows, cols, std::vector<double>(static_cast<std::size_t>(rows * cols))};
  for (double& value : x.values) value = random.normal();
  return x;
}

/// A diag(s) Bᵀ; s empty: ones.
HostMatrix product(const HostMatrix& a, const std::vector<double>& s, const HostMatrix& b) {
  HostMatrix x{a.rows, b.rows, std::vector<double>(static_cast<std::size_t>(a.rows * b.rows))};
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t j = 0; j < b.rows; ++j)
      for (std::int64_t k = 0; k < a.cols; ++k)
        x.at(i, j) += a.at(i, k) * (s.empty() ? 1 : s[static_cast<std::size_t>(k)]) * b.at(j, k);
  return x;
}

double distance(const HostMatrix& a, const HostMatrix& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) sum += (a.values[i] - b.values[i]) * (a.values[i] - b.values[i]);
  return std::sqrt(sum);
}

double off_orthonormal(const HostMatrix& x) {
  HostMatrix gram = product(transposed(x), {}, transposed(x));
  double worst = 0;
  for (std::int64_t i = 0; i < gram.rows; ++i)
    for (std::int64_t j = 0; j < gram.cols; ++j) worst = std::max(worst, std::fabs(gram.at(i, j) - (i == j ? 1 : 0)));
  return worst;
}

}  // namespace

TEST_CASE("qr: orthonormal columns, an upper triangle, and the matrix again") {
  for (auto [rows, cols] : {std::pair{7, 4}, {4, 7}, {5, 5}, {1, 3}, {3, 1}}) {
    HostMatrix x = random_matrix(rows, cols, 1);
    Qr found = qr(x);
    CHECK(found.q.cols == std::min(rows, cols));
    CHECK(off_orthonormal(found.q) < 1e-14);
    for (std::int64_t i = 0; i < found.r.rows; ++i)
      for (std::int64_t j = 0; j < i; ++j) CHECK(found.r.at(i, j) == 0);
    CHECK(distance(product(found.q, {}, transposed(found.r)), x) < 1e-13);
  }
}

TEST_CASE("svd: orthonormal columns, values from the largest down, and the matrix again") {
  for (auto [rows, cols] : {std::pair{9, 5}, {5, 9}, {40, 33}, {1, 4}}) {
    HostMatrix x = random_matrix(rows, cols, 2);
    Svd found = svd(x);
    CHECK(found.s.size() == static_cast<std::size_t>(std::min(rows, cols)));
    CHECK(std::is_sorted(found.s.rbegin(), found.s.rend()));
    CHECK(off_orthonormal(found.u) < 1e-13);
    CHECK(off_orthonormal(found.v) < 1e-13);
    CHECK(distance(product(found.u, found.s, found.v), x) < 1e-12);
  }
  CHECK(message_of<NumericError>([] { svd({1, 1, {NAN}}); }) == "svd: expected finite numbers, found NaN or Inf");
}

TEST_CASE("leading_svd: within 1 % of the nearest of its rank, whatever the spectrum") {
  constexpr std::int64_t rows = 230, cols = 260, rank = 9;
  HostMatrix u = qr(random_matrix(rows, rows, 3)).q, v = qr(random_matrix(cols, rows, 4)).q;
  auto with_spectrum = [&](auto value) {
    std::vector<double> s;
    for (std::int64_t i = 0; i < rows; ++i) s.push_back(value(i));
    return s;
  };
  for (const std::vector<double>& s : {with_spectrum([](auto i) { return 1 - 0.001 * i; }),       // nearly flat
                                       with_spectrum([](auto i) { return 1.0 / (1 + i); }),       // a power law
                                       with_spectrum([](auto i) { return std::pow(0.8, i); }),    // geometric
                                       with_spectrum([](auto i) { return i < 9 ? 1.0 : 1e-6; }),  // of this rank
                                       with_spectrum([](auto i) { return i < 9 ? 1.0 : 0.9; })}) {
    HostMatrix x = product(u, s, v);
    Svd found = leading_svd(Tensor::from(test_device(1), {rows, cols}, x.values), rank);
    double best = 0;
    for (std::size_t i = rank; i < s.size(); ++i) best += s[i] * s[i];
    CHECK(found.s.size() == rank);
    CHECK(off_orthonormal(found.u) < 1e-12);
    CHECK(off_orthonormal(found.v) < 1e-12);
    double error = distance(product(found.u, found.s, found.v), x);
    CAPTURE(s[20]);
    CHECK(error < 1.01 * std::sqrt(best));
    CHECK(error > 0.99 * std::sqrt(best));
  }
  HostMatrix narrow = random_matrix(5, 40, 6);
  CHECK(leading_svd(Tensor::from(test_device(1), {5, 40}, narrow.values), 9).s.size() == 5);
}

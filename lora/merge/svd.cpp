#include "lora/merge/svd.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/random.h"
#include "ops/gemm.h"
#include "ops/l2_norm.h"

namespace loragrad {
namespace {

using Dense = Eigen::MatrixXd;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Dense dense(const HostMatrix& x) { return Eigen::Map<const RowMajor>(x.values.data(), x.rows, x.cols); }

HostMatrix host(const Dense& x) {
  HostMatrix out{x.rows(), x.cols(), std::vector<double>(static_cast<std::size_t>(x.size()))};
  Eigen::Map<RowMajor>(out.values.data(), out.rows, out.cols) = x;
  return out;
}

HostMatrix host(const Tensor& x) { return {x.rows(), x.cols(), x.values<double>()}; }

struct Factors {
  Dense q, r;
};

Factors factors(const Dense& x) {
  Eigen::Index k = std::min(x.rows(), x.cols());
  Eigen::HouseholderQR<Dense> qr(x);
  Dense r = qr.matrixQR().topRows(k).triangularView<Eigen::Upper>();
  return {qr.householderQ() * Dense::Identity(x.rows(), k), std::move(r)};
}

Svd first_of(const Dense& u, const Eigen::VectorXd& s, const Dense& v, std::int64_t count) {
  Eigen::Index k = std::min<Eigen::Index>(count, s.size());
  return {host(Dense(u.leftCols(k))), {s.data(), s.data() + k}, host(Dense(v.leftCols(k)))};
}

Eigen::BDCSVD<Dense> decomposed(const Dense& x) {
  if (!x.allFinite()) throw NumericError("svd: expected finite numbers, found NaN or Inf");
  return Eigen::BDCSVD<Dense>(x, Eigen::ComputeThinU | Eigen::ComputeThinV);
}

/// X C, or Xᵀ C.
Dense product(const Tensor& x, const Dense& c, bool transpose) {
  Device& device = *x.device();
  Tensor operand = Tensor::from(x.device(), {c.rows(), c.cols()}, host(c).values);
  Tensor result = Tensor::empty(x.device(), {transpose ? x.cols() : x.rows(), c.cols()}, DType::f64);
  gemm(device, {.c = result.mutable_matrix(), .a = x.matrix(), .b = operand.matrix(), .transpose_a = transpose});
  return dense(host(result));
}

/// Below this many singular values all of them are found: it takes no more time than rounds would.
constexpr std::int64_t small = 192;
/// Rounds end where what is still to be gained, as a part of the squared distance, is estimated to be below this. A
/// distance within 1 % is one within 2 % squared: the estimate may be twenty times too low.
constexpr double tolerance = 1e-3;
constexpr int most_rounds = 100;

}  // namespace

HostMatrix transposed(const HostMatrix& x) {
  HostMatrix out{x.cols, x.rows, std::vector<double>(x.values.size())};
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t j = 0; j < x.cols; ++j) out.at(j, i) = x.at(i, j);
  return out;
}

Qr qr(const HostMatrix& x) {
  Factors found = factors(dense(x));
  return {host(found.q), host(found.r)};
}

Svd svd(const HostMatrix& x) {
  Eigen::BDCSVD<Dense> found = decomposed(dense(x));
  return first_of(found.matrixU(), found.singularValues(), found.matrixV(), found.singularValues().size());
}

Svd leading_svd(const Tensor& x, std::int64_t rank) {
  std::int64_t all = std::min(x.rows(), x.cols());
  std::int64_t width = rank + std::max<std::int64_t>(16, rank / 2);
  if (all <= small || width >= all / 2) {
    Eigen::BDCSVD<Dense> found = decomposed(dense(host(x)));
    return first_of(found.matrixU(), found.singularValues(), found.matrixV(), rank);
  }

  double norm = l2_norm(x.device(), x.matrix()), total = norm * norm;
  if (!std::isfinite(total)) throw NumericError("svd: expected finite numbers, found NaN or Inf");

  Random random(0, static_cast<std::uint64_t>(width));
  Dense start(x.cols(), width);
  for (Eigen::Index i = 0; i < start.size(); ++i) start.data()[i] = random.normal();
  Dense q = factors(product(x, start, false)).q;
  double captured = 0, gain = 0;
  for (int round = 0;; ++round) {
    // Qᵀ X = Rᵀ Pᵀ, whose singular values are those of X within the space of Q.
    Factors back = factors(product(x, q, true));
    Eigen::BDCSVD<Dense> core = decomposed(back.r.transpose());
    double now = core.singularValues().head(rank).squaredNorm();
    double last_gain = gain;
    gain = now - captured;
    captured = now;
    // Gains shrink by a factor a round, so what is still to come is a geometric series.
    double factor = round < 2 ? 1 : std::min(gain / last_gain, 0.97);
    double rest = std::max(0.0, total - captured);
    bool exact = rest <= 1e-24 * total || (round > 0 && gain <= 1e-15 * total);
    if (exact || (round >= 2 && gain * factor / (1 - factor) <= tolerance * rest) || round == most_rounds)
      return first_of(q * core.matrixU(), core.singularValues(), back.q * core.matrixV(), rank);
    q = factors(product(x, back.q, false)).q;
  }
}

}  // namespace loragrad

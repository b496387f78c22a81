#pragma once
#include <cstdint>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// A row-major matrix in the host's memory.
struct HostMatrix {
  std::int64_t rows = 0, cols = 0;
  std::vector<double> values = {};

  double& at(std::int64_t row, std::int64_t col) { return values[static_cast<std::size_t>(row * cols + col)]; }
  double at(std::int64_t row, std::int64_t col) const { return values[static_cast<std::size_t>(row * cols + col)]; }
};

HostMatrix transposed(const HostMatrix& x);

/// X = Q R: Q [m, k] with orthonormal columns, R [k, n] upper triangular, k = min(m, n) of X [m, n].
struct Qr {
  HostMatrix q, r;
};
Qr qr(const HostMatrix& x);

/// X = U diag(s) Vᵀ: U [m, k] and V [n, k] with orthonormal columns, s from the largest down. Signs of the columns are
/// any.
struct Svd {
  HostMatrix u;
  std::vector<double> s;
  HostMatrix v;
};
/// All k = min(m, n) of X [m, n]. NumericError for NaN or Inf.
Svd svd(const HostMatrix& x);

/// The `rank` largest (fewer where X has fewer), for an X [m, n] of f64 that is too large for all of them: products of X
/// with some columns more than `rank`, on its device. U diag(s) Vᵀ is as near to X as any matrix of this rank, but for
/// 1 % of the distance at most (|X - U S Vᵀ|, Frobenius; it goes on until another round would gain less than a part of
/// that; a distance below 1e-7 |X| may be any such). Small matrices are exact. The same X gives the same result.
/// Halko, Martinsson, Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1.
Svd leading_svd(const Tensor& x, std::int64_t rank);

}  // namespace loragrad

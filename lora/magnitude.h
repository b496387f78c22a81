#pragma once
#include <string>

#include "lora/lora_linear.h"

namespace loragrad {

/// n, the lengths of the rows of W + s B A, [1, out]:
/// n² = |W|² + 2 s rowdot(W Aᵀ, B) + s² rowdot(B (A Aᵀ), B), with no matrix of W's size.
Tensor row_norms(const Weight& w, const Tensor& a, const Tensor& b, double s);
/// Those of W alone, in f32.
Tensor row_norms(const Weight& w);

/// c = m / n (1 where n is 0, for what it multiplies is 0), and 1 / n (there 0). [1, out]
struct MagnitudeFactors {
  Tensor factor, inverse;
};
MagnitudeFactors magnitude_factors(const Tensor& m, const Tensor& norm);

/// A term's magnitude in one pass; none where `factors` are undefined.
struct FormedMagnitude {
  MagnitudeFactors factors = {};
  double weight = 1;
  Dropout dropout = {};  ///< of the term's tokens

  bool defined() const { return factors.factor.defined(); }
  /// y, which is W x + bias in the term's tokens, gets what the term adds; l is s B A drop(x). Where there is an e it
  /// becomes W drop(x) + l; it may be l.
  void add_to(Matrix y, const ConstMatrix& x, const Weight& w, const Weight& bias, const ConstMatrix& l,
              const Matrix& e) const;
};
/// ShapeError or UsageError where a term's magnitude does not fit.
void check_magnitude(const std::string& op, const DevicePtr& device, const Parameter& w, const LoraTerm& term);
/// `tokens` are those of x for which the term counts.
FormedMagnitude form_magnitude(const Parameter& w, const LoraTerm& term, IndexRange tokens);

/// y = (offset + alpha c) ∘ dy, c of each column.
void scale_columns(Device& device, const ConstMatrix& dy, const Tensor& factor, double alpha, double offset, Matrix y);

}  // namespace loragrad

#pragma once
#include <cmath>
#include <limits>

#include "ops/cuda/attention_tiles.h"

/// The softmax that goes on from tile to tile, between attention's products. E is MmaTiles or FmaTiles.
namespace loragrad::cuda {

// Exponents are of two, for which a GPU has an instruction: e^x = 2^(x log2(e)).
constexpr double log2_of_e = 1.4426950408889634, ln_of_2 = 0.6931471805599453;

__device__ inline float power_of_two(float x) { return exp2_or_zero(x); }
__device__ inline double power_of_two(double x) { return exp2(x); }
__device__ inline float binary_logarithm(float x) { return log2f(x); }
__device__ inline double binary_logarithm(double x) { return log2(x); }

/// The result for all lanes that hold a row together.
template <class E, class Op, class C>
__device__ inline C row_reduce(C value, Op op) {
#pragma unroll
  for (int step = E::row_lanes / 2; step > 0; step /= 2) value = op(value, __shfl_xor_sync(all_lanes, value, step));
  return value;
}

template <class Fragment, class C>
__device__ inline void multiply(Fragment& values, C factor) {
#pragma unroll
  for (int i = 0; i < Fragment::rows; ++i)
#pragma unroll
    for (int j = 0; j < Fragment::cols; ++j) values(i, j) *= factor;
}

/// t = tanh(scale s) in s's place, of which a cap makes scores.
template <class Fragment, class C>
__device__ inline void squash(Fragment& s, C scale) {
#pragma unroll
  for (int i = 0; i < Fragment::rows; ++i)
#pragma unroll
    for (int j = 0; j < Fragment::cols; ++j) s(i, j) = std::tanh(s(i, j) * scale);
}

/// A row's highest score so far, and the sum of 2^(scale (score - highest)): this lane's part of it. scale > 0.
template <class E>
class OnlineSoftmax {
  using C = typename E::C;
  static constexpr int rows = E::Scores::rows;

 public:
  __device__ explicit OnlineSoftmax(C scale) : scale_(scale) {
    for (int i = 0; i < rows; ++i) high_[i] = -std::numeric_limits<C>::infinity(), sum_[i] = 0;
  }
  /// Scores become their parts of the sum; what was summed before shrinks where a higher one has come.
  __device__ void add(typename E::Scores& s, typename E::Sums& out) {
    C shrink[rows];
    bool same = true;
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      C high = high_[i];
#pragma unroll
      for (int j = 0; j < E::Scores::cols; ++j) high = max(high, s(i, j));
      high = row_reduce<E>(high, Larger());
      C zero = high == -std::numeric_limits<C>::infinity() ? C(0) : scale_ * high;  // nothing seen yet
      shrink[i] = power_of_two(scale_ * high_[i] - zero);
      same = same && shrink[i] == 1;
      high_[i] = high;
      sum_[i] *= shrink[i];
#pragma unroll
      for (int j = 0; j < E::Scores::cols; ++j) {
        s(i, j) = power_of_two(scale_ * s(i, j) - zero);
        sum_[i] += s(i, j);
      }
    }
    if (__ballot_sync(all_lanes, !same) == 0) return;  // mostly
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < E::Sums::cols; ++j) out(i, j) *= shrink[i];
  }
  /// Divides by the sums.
  __device__ void finish(typename E::Sums& out) {
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      sum_[i] = row_reduce<E>(sum_[i], Plus());
      C part = sum_[i] == 0 ? C(0) : 1 / sum_[i];
#pragma unroll
      for (int j = 0; j < E::Sums::cols; ++j) out(i, j) *= part;
    }
  }
  /// ln of the sum of e^score; -infinity for a row that has seen nothing.
  __device__ C logsumexp(int i) const {
    return (scale_ * high_[i] + binary_logarithm(sum_[i])) * static_cast<C>(ln_of_2);
  }

 private:
  C scale_, high_[rows], sum_[rows];
};

}  // namespace loragrad::cuda

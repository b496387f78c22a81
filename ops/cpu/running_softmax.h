#pragma once
#include <cmath>
#include <limits>

#include "ops/cpu/dispatch.h"

/// The softmax of a row that comes piece by piece (Milakov & Gimelshein 2018, section 3), for a loss: the target is kept
/// apart, so that 1 minus its probability is a sum of what the others have and never a difference.
namespace loragrad::cpu {

template <class C>
struct RunningSoftmax {
  C shift =
      std::numeric_limits<C>::lowest();  ///< the largest logit so far; a NaN is passed over, and shows up in the sum
  double others = 0;                     ///< the sum of exp(logit - shift), without the target's

  /// Takes a larger shift, or keeps its own; what was summed up with the old one is to be multiplied by the result.
  C raise(C largest) {
    if (!(largest > shift)) return 1;
    C factor = std::exp(shift - largest);
    shift = largest;
    others *= static_cast<double>(factor);
    return factor;
  }
};

/// z becomes what it is under a soft cap.
template <class C>
void cap_row(const Matrix& z, std::int64_t row, C soft_cap) {
  Block<C> values;
  for_row_blocks(z.cols, [&](std::int64_t col, std::int64_t n) {
    load(z, row, col, n, values);
    cap_softly(values, soft_cap);
    store(values, 0, z, row, col, n);
  });
}

template <class C>
C largest_of_row(const ConstMatrix& z, std::int64_t row) {
  Block<C> values, best = Block<C>::Constant(std::numeric_limits<C>::lowest());
  for_row_blocks(z.cols, [&](std::int64_t col, std::int64_t n) {
    load(z, row, col, n, values.data());
    for (std::int64_t i = 0; i < n; ++i) best[i] = values[i] > best[i] ? values[i] : best[i];
  });
  return best.maxCoeff();
}

/// to = exp(z - shift), and 0 at `target` where that is one of the columns; with a cap, times its slope, which capped logits
/// tell: 1 - (z / soft_cap)². Returns the sum without the slope, lane by lane in f64. `to` may be z, or narrower on it.
template <class C>
double weigh_row(const ConstMatrix& z, std::int64_t row, C shift, std::int64_t target, C soft_cap, const Matrix& to) {
  constexpr std::int64_t lanes = 16;
  Eigen::Array<double, lanes, 1> sum = Eigen::Array<double, lanes, 1>::Zero();
  Block<C> values, weights;
  for_row_blocks(z.cols, [&](std::int64_t col, std::int64_t n) {
    load(z, row, col, n, values);
    weights = (values - shift).exp();
    if (n < block_size) weights.tail(block_size - n).setZero();
    if (target >= col && target < col + n) weights[target - col] = 0;
    for (std::int64_t i = 0; i < block_size; i += lanes)
      sum += weights.template segment<lanes>(i).template cast<double>();
    if (soft_cap > 0) weights *= C(1) - (values * (1 / soft_cap)).square();
    store(weights, 0, to, row, col, n);
  });
  return ordered_sum<double>(lanes, [&](std::int64_t i) { return sum[i]; });
}

}  // namespace loragrad::cpu

#include <cmath>
#include <limits>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

constexpr std::int64_t lanes = 16;

/// Largest logit of a row; a NaN is passed over here and shows up in the sum.
template <class C>
C largest(const ConstMatrix& logits, std::int64_t row) {
  Block<C> values, best = Block<C>::Constant(-std::numeric_limits<C>::infinity());
  for (std::int64_t col = 0; col < logits.cols; col += block_size) {
    std::int64_t n = std::min(block_size, logits.cols - col);
    load(logits, row, col, n, values.data());
    for (std::int64_t i = 0; i < n; ++i) best[i] = values[i] > best[i] ? values[i] : best[i];
  }
  return best.maxCoeff();
}

/// Sum of exp(logit - shift), lane by lane in f64.
template <class C>
double exp_sum(const ConstMatrix& logits, std::int64_t row, C shift) {
  Eigen::Array<double, lanes, 1> sum = Eigen::Array<double, lanes, 1>::Zero();
  Block<C> values;
  for (std::int64_t col = 0; col < logits.cols; col += block_size) {
    std::int64_t n = std::min(block_size, logits.cols - col);
    load(logits, row, col, n, values);
    values = (values - shift).exp();
    if (n < block_size) values.tail(block_size - n).setZero();
    for (std::int64_t i = 0; i < block_size; i += lanes)
      sum += values.template segment<lanes>(i).template cast<double>();
  }
  return ordered_sum<double>(lanes, [&](std::int64_t i) { return sum[i]; });
}

}  // namespace

void cross_entropy(Device& device, const CrossEntropyArgs& args) {
  const ConstMatrix& logits = args.logits;
  with_scalar({logits, args.dlogits}, [&](auto scalar) {
    using C = decltype(scalar);
    for_row_tiles(device, logits.rows, logits.cols, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t t = first; t < last; ++t) {
        std::int64_t target = args.targets[t];
        C shift = 0;
        double sum = 1;
        if (target >= 0) {
          shift = largest<C>(logits, t);
          sum = exp_sum<C>(logits, t, shift);
          C picked;
          load(logits, t, target, 1, &picked);
          args.losses[t] = std::log(sum) + (static_cast<double>(shift) - static_cast<double>(picked));
        } else {
          args.losses[t] = 0;
        }
        if (!args.dlogits.data) continue;
        C factor = static_cast<C>(args.scale / sum);
        Block<C> values = Block<C>::Zero();
        for (std::int64_t col = 0; col < logits.cols; col += block_size) {
          std::int64_t n = std::min(block_size, logits.cols - col);
          if (target >= 0) {
            load(logits, t, col, n, values);
            values = (values - shift).exp() * factor;
            if (target >= col && target < col + n) values[target - col] -= static_cast<C>(args.scale);
          }
          store(values, 0, args.dlogits, t, col, n);
        }
      }
    });
  });
}

}  // namespace loragrad::cpu

#include "ops/cpu/softmax_loss.h"

#include <cmath>
#include <limits>
#include <vector>

#include "ops/cpu/dispatch.h"

namespace loragrad::cpu {
namespace {

constexpr std::int64_t lanes = 16;

/// Calls f(panel, column in it, number of columns, column of the whole) for the blocks of columns.
template <class M, class F>
void for_column_blocks(const M& m, const Panels& panels, F f) {
  for (std::int64_t i = 0, first = 0; i < panels.count(m.cols); ++i) {
    M part = panel(m, panels, i);
    for (std::int64_t col = 0; col < part.cols; col += block_size)
      f(part, col, std::min(block_size, part.cols - col), first + col);
    first += part.cols;
  }
}

template <class C>
void cap_row(const SoftmaxLossArgs& args, std::int64_t row) {
  auto cap = static_cast<C>(args.soft_cap);
  Block<C> values;
  for_column_blocks(args.logits, args.panels, [&](const Matrix& m, std::int64_t col, std::int64_t n, auto) {
    load(m, row, col, n, values);
    values = (values * (1 / cap)).tanh() * cap;
    store(values, 0, m, row, col, n);
  });
}

/// Largest logit of a row; a NaN is passed over here and shows up in the sum.
template <class C>
C largest(const SoftmaxLossArgs& args, std::int64_t row) {
  Block<C> values, best = Block<C>::Constant(-std::numeric_limits<C>::infinity());
  for_column_blocks(args.logits, args.panels, [&](const ConstMatrix& m, std::int64_t col, std::int64_t n, auto) {
    load(m, row, col, n, values.data());
    for (std::int64_t i = 0; i < n; ++i) best[i] = values[i] > best[i] ? values[i] : best[i];
  });
  return best.maxCoeff();
}

/// Sum of exp(logit - shift), lane by lane in f64.
template <class C>
double exp_sum(const SoftmaxLossArgs& args, std::int64_t row, C shift) {
  Eigen::Array<double, lanes, 1> sum = Eigen::Array<double, lanes, 1>::Zero();
  Block<C> values;
  for_column_blocks(args.logits, args.panels, [&](const ConstMatrix& m, std::int64_t col, std::int64_t n, auto) {
    load(m, row, col, n, values);
    values = (values - shift).exp();
    if (n < block_size) values.tail(block_size - n).setZero();
    for (std::int64_t i = 0; i < block_size; i += lanes)
      sum += values.template segment<lanes>(i).template cast<double>();
  });
  return ordered_sum<double>(lanes, [&](std::int64_t i) { return sum[i]; });
}

/// What a row's gradient needs of the row: softmax = factor exp(logit - shift).
template <class C>
struct RowSum {
  C shift = 0, factor = 0;
};

template <class C>
RowSum<C> loss_of_row(const SoftmaxLossArgs& args, std::int64_t row) {
  std::int64_t target = args.targets[row];
  if (args.soft_cap > 0) cap_row<C>(args, row);
  C shift = largest<C>(args, row), picked;
  double sum = exp_sum<C>(args, row, shift);
  std::int64_t width = args.panels ? args.panels.width : args.logits.cols;
  load(panel(args.logits, args.panels, target / width), row, target % width, 1, &picked);
  args.losses[row] = std::log(sum) + (static_cast<double>(shift) - static_cast<double>(picked));
  return {shift, static_cast<C>(args.scale / sum)};
}

/// A row's gradient in one panel, from left to right, since it may lie on the logits.
template <class C>
void gradient_of_row(const SoftmaxLossArgs& args, std::int64_t i, std::int64_t row, const RowSum<C>& sum) {
  ConstMatrix from = panel(args.logits, args.panels, i);
  Matrix to = panel(args.dlogits, {args.panels.width, args.dlogits_stride}, i);
  std::int64_t target = args.targets[row];
  bool capped = args.soft_cap > 0;
  C inverse_cap = capped ? static_cast<C>(1 / args.soft_cap) : C(0);
  Block<C> values, slopes;
  for (std::int64_t col = 0; col < from.cols; col += block_size) {
    std::int64_t n = std::min(block_size, from.cols - col), picked = target - (i * args.panels.width + col);
    load(from, row, col, n, values);
    if (capped) slopes = C(1) - (values * inverse_cap).square();
    values = (values - sum.shift).exp() * sum.factor;
    if (picked >= 0 && picked < n) values[picked] -= static_cast<C>(args.scale);
    if (capped) values *= slopes;
    store(values, 0, to, row, col, n);
  }
}

}  // namespace

void softmax_loss(Device& device, const SoftmaxLossArgs& args) {
  // So many rows at a time stay in the cache between the sums and the gradients.
  const std::int64_t rows_at_once = std::max<std::int64_t>(16, threads_of(device).size());
  bool in_place = args.dlogits.data == args.logits.data;
  with_scalar({args.logits, args.dlogits}, [&](auto scalar) {
    using C = decltype(scalar);
    std::vector<RowSum<C>> sums(static_cast<std::size_t>(rows_at_once));
    for (std::int64_t first = 0; first < args.logits.rows; first += rows_at_once) {
      std::int64_t count = std::min(rows_at_once, args.logits.rows - first);
      RowSum<C>* sum = sums.data();
      threads_of(device).parallel_for(count, [&](std::int64_t t) { sum[t] = loss_of_row<C>(args, first + t); });
      if (!args.dlogits.data) continue;
      // On the logits down each panel: narrower gradients then never reach a row that is still to be read.
      std::int64_t panels = args.panels.count(args.logits.cols), rows = in_place ? count : 1;
      threads_of(device).parallel_for(panels * (count / rows), [&](std::int64_t task) {
        std::int64_t begin = task / panels * rows;
        for (std::int64_t t = begin; t < begin + rows; ++t) gradient_of_row(args, task % panels, first + t, sum[t]);
      });
    }
  });
}

}  // namespace loragrad::cpu

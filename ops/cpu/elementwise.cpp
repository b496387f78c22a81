#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {

void accumulate(Device& device, const AccumulateArgs& args, void*) {
  ConstMatrix x = args.x;
  Matrix y = args.y;
  double alpha = args.alpha, beta = args.beta;
  flatten(x, y);
  with_scalar({x, y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, y.rows, y.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> values;
      if (alpha == 0) {
        values.setZero();  // x is not read: this is how a matrix is set to zero
      } else {
        load(x, row, col, n, values);
        if (alpha != 1) values *= static_cast<C>(alpha);
      }
      store(values, beta, y, row, col, n);
    });
  });
}

void add(Device& device, const AddArgs& args, void*) {
  ConstMatrix a = args.a, b = args.b;
  Matrix y = args.y;
  flatten(a, b, y);
  with_scalar({a, b, y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, y.rows, y.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> left, right;
      load(a, row, col, n, left);
      load(b, row, col, n, right);
      left = left * static_cast<C>(args.alpha) + right * static_cast<C>(args.beta);
      store(left, 0, y, row, col, n);
    });
  });
}

void scale(Device& device, const ScaleArgs& args, void*) {
  double factor;
  load(args.factor, 0, 0, 1, &factor);
  if (factor != 1) accumulate(device, {args.y, factor, args.y, 0});
}

void soft_cap(Device& device, const SoftCapArgs& args, void*) {
  Matrix y = args.y;
  flatten(y);
  with_scalar({y}, [&](auto scalar) {
    using C = decltype(scalar);
    auto cap = static_cast<C>(args.soft_cap);
    for_blocks(device, y.rows, y.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> values;
      load(y, row, col, n, values);
      cap_softly(values, cap);
      store(values, 0, y, row, col, n);
    });
  });
}

void column_sum(Device& device, const ColumnSumArgs& args, void*) {
  const ConstMatrix& x = args.x;
  const Matrix& out = args.out;
  // Narrow strips of columns: one is summed by one thread from the first row to the last, in f64.
  constexpr std::int64_t strip = 64;
  threads_of(device).parallel_for((x.cols + strip - 1) / strip, [&](std::int64_t task) {
    std::int64_t col = task * strip, n = std::min(strip, x.cols - col);
    Eigen::Array<double, strip, 1> sum = Eigen::Array<double, strip, 1>::Zero();
    with_scalar({x, out}, [&](auto scalar) {
      using C = decltype(scalar);
      Eigen::Array<C, strip, 1> values = Eigen::Array<C, strip, 1>::Zero();
      for (std::int64_t row = 0; row < x.rows; ++row) {
        load(x, row, col, n, values.data());
        sum += values.template cast<double>();
      }
    });
    store(sum.data(), 1, out, 0, col, n);
  });
}

namespace {

double squared_norm(Device& device, ConstMatrix x) {
  flatten(x);
  constexpr std::int64_t tile = 64 * block_size;
  std::int64_t per_row = (x.cols + tile - 1) / tile;
  std::vector<double> partial(static_cast<std::size_t>(x.rows * per_row));
  threads_of(device).parallel_for(x.rows * per_row, [&](std::int64_t task) {
    std::int64_t row = task / per_row, begin = task % per_row * tile, end = std::min(begin + tile, x.cols);
    Block<double> values, sum = Block<double>::Zero();
    for (std::int64_t col = begin; col < end; col += block_size) {
      load(x, row, col, std::min(block_size, end - col), values);
      sum += values * values;
    }
    partial[static_cast<std::size_t>(task)] = ordered_sum<double>(block_size, [&](std::int64_t i) { return sum[i]; });
  });
  double total = 0;
  for (double value : partial) total += value;
  return total;
}

}  // namespace

void l2_norm(Device& device, const L2NormArgs& args, void*) {
  double squares = 0;
  for (const ConstMatrix& x : args.x) squares += squared_norm(device, x);
  *args.norm = std::sqrt(squares);
  if (args.clip) *args.clip = args.max_norm == 0 ? 1 : std::min(1.0, args.max_norm / (*args.norm + 1e-6));
}

}  // namespace loragrad::cpu

#include <cmath>

#include "ops/cuda/kernels.h"
#include "ops/cuda/norm_rows.h"

namespace loragrad::cuda {
namespace {

constexpr int elements = 32;  // of a thread

template <class X, class Y, class S>
struct Norm {
  Operand<X> x;
  Operand<Y> y;
  Operand<S> weight, bias;
  S *mean, *rstd;
  S eps, weight_offset;
  std::int64_t rows, cols;
  bool center, reuse_statistics;
};

/// A thread's part of a row of x: in registers,
template <class X, class S, int n>
class HeldRow {
 public:
  static constexpr int unit = n;
  template <class Y>
  __device__ HeldRow(const Norm<X, Y, S>& norm, std::int64_t row) : row_(row), cols_(norm.cols) {
    each_unit<n, elements / n>(cols_, [&](int k, auto col) { x_[k] = norm.x.template load<n>(WholeUnit{row, col}); });
  }
  /// Calls f(place, values).
  template <class F>
  __device__ void each(F f) const {
    each_unit<n, elements / n>(cols_, [&](int k, auto col) {
      S values[n];
#pragma unroll
      for (int i = 0; i < n; ++i) values[i] = x_[k].template get<S>(i);
      f(WholeUnit{row_, col}, values);
    });
  }

 private:
  Unit<X, n> x_[elements / n];
  std::int64_t row_, cols_;
};
/// or in memory.
template <class S>
class ReadRow {
 public:
  static constexpr int unit = 1;
  __device__ ReadRow(const Norm<Any, Any, S>& norm, std::int64_t row) : x_(norm.x), row_(row), cols_(norm.cols) {}
  template <class F>
  __device__ void each(F f) const {
    each_element(cols_, [&](auto col) {
      WholeUnit at{row_, col};
      S values[1] = {x_.template load<1>(at).template get<S>(0)};
      f(at, values);
    });
  }

 private:
  Operand<Any> x_;
  std::int64_t row_, cols_;
};

template <class Row, class X, class Y, class S>
__global__ void __launch_bounds__(most_team) norm_kernel(Norm<X, Y, S> norm) {
  constexpr int n = Row::unit;
  std::int64_t t = row_of_team();
  if (t >= norm.rows) return;
  Row row(norm, t);
  S mean = 0, rstd;
  if (norm.reuse_statistics) {
    if (norm.center) mean = norm.mean[t];
    rstd = norm.rstd[t];
  } else {
    auto width = static_cast<S>(norm.cols);
    if (norm.center) {
      S sum = 0;
      row.each([&](const WholeUnit&, const S(&x)[n]) {
#pragma unroll
        for (int i = 0; i < n; ++i) sum += x[i];
      });
      mean = team_sum(sum) / width;
    }
    S squares = 0;
    row.each([&](const WholeUnit&, const S(&x)[n]) {
#pragma unroll
      for (int i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    });
    rstd = S(1) / std::sqrt(team_sum(squares) / width + norm.eps);
    if (threadIdx.x == 0) {
      if (norm.mean) norm.mean[t] = mean;
      if (norm.rstd) norm.rstd[t] = rstd;
    }
  }
  row.each([&](const WholeUnit& at, const S(&x)[n]) {
    WholeUnit column{0, at.col};
    Unit<S, n> weight = norm.weight.template load<n>(column), bias;
    if (norm.bias) bias = norm.bias.template load<n>(column);
    S y[n];
#pragma unroll
    for (int i = 0; i < n; ++i)
      y[i] = (x[i] - mean) * rstd * (weight.template get<S>(i) + norm.weight_offset) + bias.template get<S>(i);
    norm.y.store(at, y);
  });
}

}  // namespace

void norm(Device& device, const NormArgs& args, void*) {
  std::int64_t rows = args.x.rows, cols = args.x.cols;
  if (rows == 0 || cols == 0) return;
  auto run = [&](auto x, auto y, auto s) {
    using X = decltype(x);
    using Y = decltype(y);
    using S = decltype(s);
    ConstMatrix weight{args.weight, dtype_of<S>, 1, cols, cols}, bias{args.bias, dtype_of<S>, 1, cols, cols};
    Norm<X, Y, S> norm{Operand<X>(args.x),
                       Operand<Y>(args.y),
                       Operand<S>(weight),
                       Operand<S>(bias),
                       static_cast<S*>(args.mean),
                       static_cast<S*>(args.rstd),
                       static_cast<S>(args.eps),
                       static_cast<S>(args.weight_offset),
                       rows,
                       cols,
                       args.center,
                       args.reuse_statistics};
    Teams teams = teams_for(rows, cols, elements);
    if constexpr (std::is_same_v<X, Any>) {
      launch(device, norm_kernel<ReadRow<S>, X, Y, S>, teams.grid, teams.block, team_shared_bytes, norm);
    } else {
      constexpr int n = unit_of<X, Y>;
      bool held = cols % n == 0 && cols <= most_team * elements && all_aligned({args.x, args.y, weight, bias}, n);
      if (!held) return false;
      launch(device, norm_kernel<HeldRow<X, S, n>, X, Y, S>, teams.grid, teams.block, team_shared_bytes, norm);
    }
    return true;
  };
  with_norm_types(args.x.dtype, args.y.dtype, [&](auto x, auto y, auto s) {
    if (!run(x, y, s)) run(Any(), Any(), s);
  });
}

}  // namespace loragrad::cuda

#include "ops/cuda/column_sums.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/norm_rows.h"

namespace loragrad::cuda {
namespace {

// With w = weight + weight_offset, g = dy w and n = (x - mean) rstd:
//   RMSNorm:   dx = rstd (g - n mean(g n))          LayerNorm:   dx = rstd (g - mean(g) - n mean(g n))
//   dweight = sum of dy n,  dbias = sum of dy

/// The type of dx, which is that of x.
template <class X, class Y, class S>
struct NormBackward {
  Operand<X> x, dx;
  Operand<Y> dy;
  Operand<S> weight;
  const S *mean, *rstd;
  S beta, weight_offset;
  std::int64_t rows, cols;
};

/// One unit's x, g and old dx in S.
template <class S, int n>
struct Values {
  S x[n], g[n], dx[n];
};

/// A thread's part of the rows of x, g and the old dx: in registers,
template <class X, class S, int n, int elements>
class HeldRows {
 public:
  static constexpr int unit = n;
  template <class Y>
  __device__ HeldRows(const NormBackward<X, Y, S>& norm, std::int64_t row) : row_(row), cols_(norm.cols) {
    Unit<Y, n> dy[elements / n];
    each_unit<n, elements / n>(cols_, [&](int k, auto col) {
      WholeUnit at{row, col};
      x_[k] = norm.x.template load<n>(at);
      dy[k] = norm.dy.template load<n>(at);
      if (norm.beta != 0) dx_[k] = norm.dx.template load<n>(at);
    });
    each_unit<n, elements / n>(cols_, [&](int k, auto col) {
      auto weight = norm.weight.template load<n>(WholeUnit{0, col});
#pragma unroll
      for (int i = 0; i < n; ++i)
        g_[k][i] = dy[k].template get<S>(i) * (weight.template get<S>(i) + norm.weight_offset);
    });
  }
  /// Calls f(place, values).
  template <class F>
  __device__ void each(F f) const {
    each_unit<n, elements / n>(cols_, [&](int k, auto col) {
      Values<S, n> values;
#pragma unroll
      for (int i = 0; i < n; ++i)
        values.x[i] = x_[k].template get<S>(i), values.g[i] = g_[k][i], values.dx[i] = dx_[k].template get<S>(i);
      f(WholeUnit{row_, col}, values);
    });
  }

 private:
  Unit<X, n> x_[elements / n], dx_[elements / n];
  S g_[elements / n][n];
  std::int64_t row_, cols_;
};
/// or in memory.
template <class S>
class ReadRows {
 public:
  static constexpr int unit = 1;
  __device__ ReadRows(const NormBackward<Any, Any, S>& norm, std::int64_t row) : norm_(norm), row_(row) {}
  template <class F>
  __device__ void each(F f) const {
    each_element(norm_.cols, [&](auto col) {
      WholeUnit at{row_, col};
      auto one = [&](const auto& operand, const WholeUnit& place) {
        return operand.template load<1>(place).template get<S>(0);
      };
      f(at, Values<S, 1>{{one(norm_.x, at)},
                         {one(norm_.dy, at) * (one(norm_.weight, WholeUnit{0, col}) + norm_.weight_offset)},
                         {norm_.beta != 0 ? one(norm_.dx, at) : S(0)}});
    });
  }

 private:
  const NormBackward<Any, Any, S>& norm_;
  std::int64_t row_;
};

template <class Rows, class X, class Y, class S>
__global__ void __launch_bounds__(most_team) norm_backward_kernel(NormBackward<X, Y, S> norm) {
  constexpr int n = Rows::unit;
  std::int64_t t = row_of_team();
  if (t >= norm.rows) return;
  Rows rows(norm, t);
  S mean = norm.mean ? norm.mean[t] : S(0), rstd = norm.rstd[t], width = static_cast<S>(norm.cols);
  S g = 0, gn = 0;
  rows.each([&](const WholeUnit&, const Values<S, n>& in) {
#pragma unroll
    for (int i = 0; i < n; ++i) g += in.g[i], gn += in.g[i] * ((in.x[i] - mean) * rstd);
  });
  S g_mean = norm.mean ? team_sum(g) / width : S(0), gn_mean = team_sum(gn) / width;
  rows.each([&](const WholeUnit& at, const Values<S, n>& in) {
    S dx[n];
#pragma unroll
    for (int i = 0; i < n; ++i) {
      dx[i] = rstd * (in.g[i] - g_mean - (in.x[i] - mean) * rstd * gn_mean);
      if (norm.beta != 0) dx[i] += norm.beta * in.dx[i];
    }
    norm.dx.store(at, dx);
  });
}

/// dweight's terms, for sums over rows.
template <class X, class Y, class S>
struct WeightTerms {
  static constexpr int unit = unit_of<X, Y>;
  Operand<X> x;
  Operand<Y> dy;
  const S *mean, *rstd;
  template <class At>
  __device__ void add(const At& at, double (&sums)[unit]) const {
    auto x_in = x.template load<unit>(at);
    auto dy_in = dy.template load<unit>(at);
    S center = mean ? mean[at.row] : S(0), scale = rstd[at.row];
#pragma unroll
    for (int i = 0; i < unit; ++i) {
      S normal = (x_in.template get<S>(i) - center) * scale;
      sums[i] += static_cast<double>(dy_in.template get<S>(i) * normal);
    }
  }
};

}  // namespace

std::size_t scratch_bytes(Device&, const NormBackwardArgs& args) {
  bool sums = args.dweight.rows > 0 || args.dbias.rows > 0;
  return sums ? column_sums_bytes(args.x.rows, args.x.cols) : 0;
}

void norm_backward(Device& device, const NormBackwardArgs& args, void* scratch) {
  std::int64_t rows = args.x.rows, cols = args.x.cols;
  if (rows == 0 || cols == 0) return;
  auto run = [&](auto x, auto y, auto s) {
    using X = decltype(x);
    using Y = decltype(y);
    using S = decltype(s);
    const S* mean = args.center ? static_cast<const S*>(args.mean) : nullptr;
    const S* rstd = static_cast<const S*>(args.rstd);
    // Before dx, which may be dy.
    if (args.dweight.rows > 0)
      column_sums(device, rows, cols, {args.x, args.dy},
                  WeightTerms<X, Y, S>{Operand<X>(args.x), Operand<Y>(args.dy), mean, rstd}, args.dweight, scratch);
    if (args.dbias.rows > 0) column_sum(device, {args.dy, args.dbias}, scratch);
    if (args.dx.rows == 0) return;

    ConstMatrix weight{args.weight, dtype_of<S>, 1, cols, cols};
    auto launch_rows = [&](auto kernel, auto x, auto y, int elements) {
      using DX = decltype(x);
      using DY = decltype(y);
      NormBackward<DX, DY, S> norm{Operand<DX>(args.x),
                                   Operand<DX>(args.dx),
                                   Operand<DY>(args.dy),
                                   Operand<S>(weight),
                                   mean,
                                   rstd,
                                   static_cast<S>(args.beta),
                                   static_cast<S>(args.weight_offset),
                                   rows,
                                   cols};
      Teams teams = teams_for(rows, cols, elements);
      launch(device, kernel, teams.grid, teams.block, team_shared_bytes, norm);
    };
    if constexpr (!std::is_same_v<X, Any>) {
      constexpr int n = unit_of<X, Y>;
      bool held = cols % n == 0 && args.dx.dtype == args.x.dtype && all_aligned({args.x, args.dx, args.dy, weight}, n);
      if (held && cols <= 16 * most_team)
        return launch_rows(norm_backward_kernel<HeldRows<X, S, n, 16>, X, Y, S>, x, y, 16);
      if (held && cols <= 32 * most_team)
        return launch_rows(norm_backward_kernel<HeldRows<X, S, n, 32>, X, Y, S>, x, y, 32);
    }
    launch_rows(norm_backward_kernel<ReadRows<S>, Any, Any, S>, Any(), Any(), 1);
  };
  with_norm_types(args.x.dtype, args.dy.dtype, run);
}

}  // namespace loragrad::cuda

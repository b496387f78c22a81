#include <cmath>

#include "ops/cuda/column_sums.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/units.h"

namespace loragrad::cuda {
namespace {

constexpr int warps = 8;  // of a block, each with a row of W
constexpr int threads = 128;

/// y = (offset + alpha f) x + beta y
template <class X, class F, class Y>
struct ScaleEach {
  using C = Computing<X, Y>;
  static constexpr int unit = unit_of<X, Y>, batch = 1;
  Operand<X> x;
  const F* factors;
  Target<Y, C> y;
  bool by_row;
  C alpha, offset;
  struct Loaded {
    Unit<Held<X>, unit> x;
    Unit<Held<Y>, unit> y;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    return {x.template load<unit>(at), y.template load<unit>(at)};
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) {
      std::int64_t place = by_row ? at.row : at.col + (i < count(at, unit) ? i : 0);
      values[i] = (offset + alpha * static_cast<C>(factors[place])) * loaded.x.template get<C>(i);
    }
    y.store(at, values, loaded.y);
  }
};

template <class X>
struct ColumnDot {
  static constexpr int unit = unit_of<X>;
  Operand<X> a, b;
  template <class At>
  __device__ void add(const At& at, double (&sums)[unit]) const {
    Unit<X, unit> left = a.template load<unit>(at), right = b.template load<unit>(at);
#pragma unroll
    for (int i = 0; i < unit; ++i) sums[i] += left.template get<double>(i) * right.template get<double>(i);
  }
};

/// squares[j] = the sum of the squares of W's row j.
template <class W>
__global__ void __launch_bounds__(warps* warp_size)
    row_squares_kernel(Operand<W> w, std::int64_t rows, std::int64_t cols, bool aligned, double* squares) {
  constexpr int n = unit_of<W>;
  std::int64_t row = std::int64_t{blockIdx.x} * warps + threadIdx.y;
  if (row >= rows) return;
  double sum = 0;
  for (std::int64_t col = threadIdx.x * n; col < cols; col += warp_size * n) {
    int count = cols - col < n ? static_cast<int>(cols - col) : n;
    Unit<W, n> unit =
        aligned && count == n ? w.template load<n>(WholeUnit{row, col}) : w.template load<n>(PartUnit{row, col, count});
#pragma unroll
    for (int i = 0; i < n; ++i) {
      auto value = unit.template get<double>(i);
      sum += value * value;
    }
  }
  sum = warp_reduce(sum);
  if (threadIdx.x == 0) squares[row] = sum;
}

template <class C>
struct Norms {
  const double* squares;  // null: norm is read
  View<const C> product, b;
  std::int64_t outputs, rank;
  C* norm;
  const C* magnitude;
  C *factor, *inverse;
};

/// A thread has one output.
template <class C>
__global__ void norms_kernel(Norms<C> args) {
  std::int64_t j = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (j >= args.outputs) return;
  if (args.squares) {
    double square = args.squares[j];
    for (std::int64_t k = 0; k < args.rank; ++k)
      square += static_cast<double>(args.product(k, j)) * static_cast<double>(args.b(j, k));
    args.norm[j] = static_cast<C>(std::sqrt(square < 0 ? 0 : square));
  }
  if (!args.magnitude) return;
  C norm = args.norm[j];
  args.factor[j] = norm > 0 ? args.magnitude[j] / norm : C(1);
  args.inverse[j] = norm > 0 ? C(1) / norm : C(0);
}

/// v = u - bias;  y += weight ((f - 1) v + f l);  e = v + l
template <class X, class C>
struct Rescale {
  static constexpr int unit = unit_of<X>, batch = 1;
  Operand<X> u, l, y, e;
  const C *factors, *bias;
  C weight;
  struct Loaded {
    Unit<X, unit> u, l, y;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    return {u.template load<unit>(at), l.template load<unit>(at), y.template load<unit>(at)};
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C result[unit], sum[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) {
      std::int64_t col = at.col + (i < count(at, unit) ? i : 0);
      C factor = factors[col], v = loaded.u.template get<C>(i) - (bias ? bias[col] : C(0));
      C low = loaded.l.template get<C>(i);
      result[i] = weight * ((factor - C(1)) * v + factor * low) + loaded.y.template get<C>(i);
      sum[i] = v + low;
    }
    y.store(at, result);
    if (e) e.store(at, sum);
  }
};

void form_squares(Device& device, const WeightNormsArgs& args, const Matrix& squares, void* scratch) {
  const WeightView& w = args.w;
  with_stored_type(w.dtype, [&](auto element) {
    using W = decltype(element);
    if (args.in_out) {
      accumulate(device, {.x = squares, .alpha = 0, .y = squares, .beta = 0});
      column_sums(device, w.rows, w.cols, {w}, ColumnDot<W>{Operand<W>(w), Operand<W>(w)}, squares, scratch);
    } else {
      launch(device, row_squares_kernel<W>, blocks_for(w.rows, warps), dim3(warp_size, warps), 0, Operand<W>(w), w.rows,
             w.cols, all_aligned({w}, unit_of<W>), static_cast<double*>(squares.data));
    }
  });
}

}  // namespace

void scale_each(Device& device, const ScaleEachArgs& args, void*) {
  auto run = [&](auto from, auto to, auto* factors) {
    using X = decltype(from);
    using Y = decltype(to);
    using F = ScaleEach<X, std::remove_const_t<std::remove_pointer_t<decltype(factors)>>, Y>;
    using C = typename F::C;
    F f{Operand<X>(args.x),
        factors,
        {Operand<Y>(args.y), static_cast<C>(args.beta)},
        args.by_row,
        static_cast<C>(args.alpha),
        static_cast<C>(args.offset)};
    for_units(device, args.x.rows, args.x.cols, {args.x, args.y}, f);
  };
  auto with_types = [&](auto* factors) {
    if (args.x.dtype == args.y.dtype && args.x.dtype == DType::f32) return run(float(), float(), factors);
    if (args.x.dtype == args.y.dtype && args.x.dtype == DType::bf16) return run(bf16(), bf16(), factors);
    run(Any(), Any(), factors);
  };
  if (args.factors.dtype == DType::f64)
    with_types(static_cast<const double*>(args.factors.data));
  else
    with_types(static_cast<const float*>(args.factors.data));
}

std::size_t scratch_bytes(Device&, const ColumnDotArgs& args) { return column_sums_bytes(args.a.rows, args.a.cols); }

void column_dot(Device& device, const ColumnDotArgs& args, void* scratch) {
  with_type(args.a.dtype, [&](auto element) {
    using X = decltype(element);
    ColumnDot<X> f{Operand<X>(args.a), Operand<X>(args.b)};
    column_sums(device, args.a.rows, args.a.cols, {args.a, args.b}, f, args.out, scratch);
  });
}

std::size_t scratch_bytes(Device&, const WeightNormsArgs& args) {
  if (args.w.rows == 0) return 0;
  Scratch scratch(nullptr);
  scratch.take(DType::f64, 1, args.norm.cols);
  return scratch.used() + (args.in_out ? column_sums_bytes(args.w.rows, args.w.cols) : 0);
}

void weight_norms(Device& device, const WeightNormsArgs& args, void* scratch) {
  if (args.norm.cols == 0) return;
  Matrix squares;
  if (args.w.rows > 0) {
    Scratch own(scratch);
    squares = own.take(DType::f64, 1, args.norm.cols);
    form_squares(device, args, squares, own.rest());
  }
  auto run = [&](auto element) {
    using C = decltype(element);
    Norms<C> norms{static_cast<const double*>(squares.data),
                   view<C>(args.product),
                   view<C>(args.b),
                   args.norm.cols,
                   args.product.rows,
                   static_cast<C*>(args.norm.data),
                   static_cast<const C*>(args.magnitude.data),
                   static_cast<C*>(args.factor.data),
                   static_cast<C*>(args.inverse.data)};
    launch(device, norms_kernel<C>, blocks_for(args.norm.cols, threads), threads, 0, norms);
  };
  args.norm.dtype == DType::f64 ? run(double()) : run(float());
}

void rescale(Device& device, const RescaleArgs& args, void*) {
  with_type(args.y.dtype, [&](auto element) {
    using X = decltype(element);
    using C = SumOf<X>;
    Rescale<X, C> f{Operand<X>(args.u),
                    Operand<X>(args.l),
                    Operand<X>(args.y),
                    Operand<X>(args.e),
                    static_cast<const C*>(args.factors.data),
                    static_cast<const C*>(args.bias.data),
                    static_cast<C>(args.weight)};
    if (args.e.data)
      for_units(device, args.y.rows, args.y.cols, {args.u, args.l, args.y, args.e}, f);
    else
      for_units(device, args.y.rows, args.y.cols, {args.u, args.l, args.y}, f);
  });
}

}  // namespace loragrad::cuda

#include "ops/cuda/column_sums.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/units.h"

namespace loragrad::cuda {
namespace {

/// y = alpha x + beta y
template <class X, class Y>
struct Accumulate {
  using C = Computing<X, Y>;
  static constexpr int unit = unit_of<X, Y>, batch = 2;
  Operand<X> x;
  Target<Y, C> y;
  C alpha;
  struct Loaded {
    Unit<X, unit> x;
    Unit<Y, unit> y;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    Loaded loaded{};
    if (alpha != 0) loaded.x = x.template load<unit>(at);
    loaded.y = y.template load<unit>(at);
    return loaded;
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) values[i] = alpha * loaded.x.template get<C>(i);
    y.store(at, values, loaded.y);
  }
};

/// y = alpha a + beta b
template <class A, class B, class Y>
struct Add {
  using C = Computing<A, B, Y>;
  static constexpr int unit = unit_of<A, B, Y>, batch = std::is_same_v<Y, Any> ? 1 : 2;
  Operand<A> a;
  Operand<B> b;
  Operand<Y> y;
  C alpha, beta;
  struct Loaded {
    Unit<Held<A>, unit> a;
    Unit<Held<B>, unit> b;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    return {a.template load<unit>(at), b.template load<unit>(at)};
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) values[i] = alpha * loaded.a.template get<C>(i);
    add_scaled(values, beta, loaded.b);
    y.store(at, values);
  }
};

/// y = factor y. The factor is read by the kernel, so that nobody waits for it.
template <class Y, class Factor>
struct Scale {
  using C = Computing<Y>;
  static constexpr int unit = unit_of<Y>, batch = 2;
  Operand<Y> y;
  const Factor* factor;
  using Loaded = Unit<Y, unit>;
  template <class At>
  __device__ Loaded load(const At& at) const {
    Loaded loaded;
    if (*factor != 1) loaded = y.template load<unit>(at);
    return loaded;
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    if (*factor == 1) return;
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) values[i] = static_cast<C>(*factor) * loaded.template get<C>(i);
    y.store(at, values);
  }
};

/// y = cap tanh(y / cap)
template <class Y>
struct SoftCap {
  static constexpr int unit = unit_of<Y>, batch = 2;
  Operand<Y> y;
  Y cap, inverse;
  using Loaded = Unit<Y, unit>;
  template <class At>
  __device__ Loaded load(const At& at) const {
    return y.template load<unit>(at);
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    Y values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) values[i] = cap * std::tanh(loaded.template get<Y>(i) * inverse);
    y.store(at, values);
  }
};

template <class X>
struct ColumnSum {
  static constexpr int unit = unit_of<X>;
  Operand<X> x;
  template <class At>
  __device__ void add(const At& at, double (&sums)[unit]) const {
    add_scaled(sums, 1.0, x.template load<unit>(at));
  }
};

}  // namespace

void accumulate(Device& device, const AccumulateArgs& args, void*) {
  ConstMatrix x = args.x;
  Matrix y = args.y;
  flatten(x, y);
  with_stored_type(x.dtype, [&](auto from) {
    with_type(y.dtype, [&](auto to) {
      using F = Accumulate<decltype(from), decltype(to)>;
      using C = typename F::C;
      F f{Operand<decltype(from)>(x),
          {Operand<decltype(to)>(y), static_cast<C>(args.beta)},
          static_cast<C>(args.alpha)};
      for_units(device, y.rows, y.cols, {x, y}, f);
    });
  });
}

void add(Device& device, const AddArgs& args, void*) {
  ConstMatrix a = args.a, b = args.b;
  Matrix y = args.y;
  flatten(a, b, y);
  auto run = [&](auto left, auto right) {
    using A = decltype(left);
    using B = decltype(right);
    using F = Add<A, B, A>;
    using C = typename F::C;
    F f{Operand<A>(a), Operand<B>(b), Operand<A>(y), static_cast<C>(args.alpha), static_cast<C>(args.beta)};
    for_units(device, y.rows, y.cols, {a, b, y}, f);
  };
  // A sum has the type of its first operand (ops/elementwise.h).
  if (a.dtype != y.dtype) return run(Any(), Any());
  with_type(a.dtype, [&](auto left) { with_type(b.dtype, [&](auto right) { run(left, right); }); });
}

void scale(Device& device, const ScaleArgs& args, void*) {
  Matrix y = args.y;
  flatten(y);
  with_type(y.dtype, [&](auto element) {
    auto run = [&](auto* factor) {
      using Y = decltype(element);
      Scale<Y, std::remove_const_t<std::remove_pointer_t<decltype(factor)>>> f{Operand<Y>(y), factor};
      for_units(device, y.rows, y.cols, {y}, f);
    };
    if (args.factor.dtype == DType::f64)
      run(static_cast<const double*>(args.factor.data));
    else
      run(static_cast<const float*>(args.factor.data));
  });
}

void soft_cap(Device& device, const SoftCapArgs& args, void*) {
  Matrix y = args.y;
  flatten(y);
  auto run = [&](auto element) {
    using Y = decltype(element);
    SoftCap<Y> f{Operand<Y>(y), static_cast<Y>(args.soft_cap), static_cast<Y>(1 / args.soft_cap)};
    for_units(device, y.rows, y.cols, {y}, f);
  };
  y.dtype == DType::f64 ? run(double()) : run(float());
}

std::size_t scratch_bytes(Device&, const ColumnSumArgs& args) { return column_sums_bytes(args.x.rows, args.x.cols); }

void column_sum(Device& device, const ColumnSumArgs& args, void* scratch) {
  with_type(args.x.dtype, [&](auto element) {
    ColumnSum<decltype(element)> f{Operand<decltype(element)>(args.x)};
    column_sums(device, args.x.rows, args.x.cols, {args.x}, f, args.out, scratch);
  });
}

}  // namespace loragrad::cuda

#include "ops/cuda/activation_functions.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/units.h"

namespace loragrad::cuda {
namespace {

/// Elements of a unit: for relu those whose bits share a byte.
template <Activation kind, class X>
constexpr int activation_unit = kind == Activation::relu ? 8 : unit_of<X>;

/// relu's bits: which elements were above zero.
struct BitMask {
  std::uint8_t* bytes;
  std::int64_t stride;
  template <class At>
  __device__ std::uint8_t& operator()(const At& at) const {
    return bytes[at.row * stride + at.col / 8];
  }
};

/// y = f(x)
template <Activation kind, class X>
struct Forward {
  using C = Computing<X>;
  static constexpr int unit = activation_unit<kind, X>, batch = unit > unit_of<X> ? 1 : 2;
  Operand<X> x, y;
  BitMask mask;
  using Loaded = Unit<Held<X>, unit>;
  template <class At>
  __device__ Loaded load(const At& at) const {
    return x.template load<unit>(at);
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
    unsigned bits = 0;
#pragma unroll
    for (int i = 0; i < unit; ++i) {
      C in = loaded.template get<C>(i);
      values[i] = activation_at<kind>(in);
      if (in > C(0)) bits |= 1u << i;
    }
    y.store(at, values);
    if constexpr (kind == Activation::relu)
      if (mask.bytes) mask(at) = static_cast<std::uint8_t>(bits);
  }
};

/// dx = f'(x) dy + beta dx
template <Activation kind, class X>
struct Backward {
  using C = Computing<X>;
  static constexpr int unit = activation_unit<kind, X>, batch = unit > unit_of<X> ? 1 : 2;
  Operand<X> x, dy;
  Target<X, C> dx;
  BitMask mask;
  struct Loaded {
    Unit<Held<X>, unit> x, dy, dx;
    unsigned bits;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    Loaded loaded{};
    if constexpr (kind == Activation::relu)
      loaded.bits = mask(at);
    else
      loaded.x = x.template load<unit>(at);
    loaded.dy = dy.template load<unit>(at);
    loaded.dx = dx.template load<unit>(at);
    return loaded;
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) {
      values[i] = loaded.dy.template get<C>(i);
      if constexpr (kind == Activation::relu) {
        values[i] = loaded.bits >> i & 1 ? values[i] : C(0);
      } else {
        C slope;
        activation_at<kind>(loaded.x.template get<C>(i), &slope);
        values[i] *= slope;
      }
    }
    dx.store(at, values, loaded.dx);
  }
};

}  // namespace

void activation(Device& device, const ActivationArgs& args, void*) {
  ConstMatrix x = args.x;
  Matrix y = args.y;
  BitMask mask{args.mask, ceil_div(x.cols, 8)};
  if (!args.mask || x.cols % 8 == 0) flatten(x, y);
  with_kind_and_type(args.kind, {x, y}, [&](auto kind, auto element) {
    using X = decltype(element);
    for_units(device, y.rows, y.cols, {x, y}, Forward<kind(), X>{Operand<X>(x), Operand<X>(y), mask});
  });
}

void activation_backward(Device& device, const ActivationBackwardArgs& args, void*) {
  bool masked = args.kind == Activation::relu;
  ConstMatrix dy = args.dy, x = masked ? dy : args.x;
  Matrix dx = args.dx;
  BitMask mask{const_cast<std::uint8_t*>(args.mask), ceil_div(dy.cols, 8)};
  if (!masked || dy.cols % 8 == 0) flatten(x, dy, dx);
  with_kind_and_type(args.kind, {x, dy, dx}, [&](auto kind, auto element) {
    using X = decltype(element);
    using F = Backward<kind(), X>;
    F f{Operand<X>(x), Operand<X>(dy), {Operand<X>(dx), static_cast<typename F::C>(args.beta)}, mask};
    for_units(device, dx.rows, dx.cols, {x, dy, dx}, f);
  });
}

}  // namespace loragrad::cuda

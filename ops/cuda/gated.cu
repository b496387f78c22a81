#include "ops/cuda/activation_functions.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/units.h"

namespace loragrad::cuda {
namespace {

/// y = f(gate) up
template <Activation kind, class X>
struct Gated {
  using C = Computing<X>;
  static constexpr int unit = unit_of<X>, batch = 2;
  Operand<X> gate, up, y;
  struct Loaded {
    Unit<Held<X>, unit> gate, up;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    return {gate.template load<unit>(at), up.template load<unit>(at)};
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i)
      values[i] = activation_at<kind>(loaded.gate.template get<C>(i)) * loaded.up.template get<C>(i);
    y.store(at, values);
  }
};

/// dgate = f'(gate) up dy + beta_gate dgate, dup = f(gate) dy + beta_up dup
template <Activation kind, class X>
struct GatedBackward {
  using C = Computing<X>;
  static constexpr int unit = unit_of<X>, batch = 1;
  Operand<X> gate, up, dy;
  Target<X, C> dgate, dup;
  struct Loaded {
    Unit<Held<X>, unit> gate, up, dy;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    Loaded loaded{gate.template load<unit>(at), {}, dy.template load<unit>(at)};
    if (dgate.y) loaded.up = up.template load<unit>(at);
    return loaded;
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C of_gate[unit], of_up[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) {
      C dy_i = loaded.dy.template get<C>(i), slope;
      of_up[i] = activation_at<kind>(loaded.gate.template get<C>(i), &slope) * dy_i;
      of_gate[i] = slope * (loaded.up.template get<C>(i) * dy_i);
    }
    if (dgate.y) dgate.store(at, of_gate, dgate.template load<unit>(at));
    // dup may be dgate: its old elements are those that were just written.
    if (dup.y) dup.store(at, of_up, dup.template load<unit>(at));
  }
};

}  // namespace

void gated(Device& device, const GatedArgs& args, void*) {
  ConstMatrix gate = args.gate, up = args.up;
  Matrix y = args.y;
  flatten(gate, up, y);
  with_kind_and_type(args.kind, {gate, up, y}, [&](auto kind, auto element) {
    using X = decltype(element);
    Gated<kind(), X> f{Operand<X>(gate), Operand<X>(up), Operand<X>(y)};
    for_units(device, y.rows, y.cols, {gate, up, y}, f);
  });
}

void gated_backward(Device& device, const GatedBackwardArgs& args, void*) {
  ConstMatrix gate = args.gate, up = args.up, dy = args.dy;
  Matrix dgate = args.dgate, dup = args.dup;
  flatten(gate, up, dy, dgate, dup);
  with_kind_and_type(args.kind, {gate, up, dy, dgate, dup}, [&](auto kind, auto element) {
    using X = decltype(element);
    using F = GatedBackward<kind(), X>;
    using C = typename F::C;
    F f{Operand<X>(gate),
        Operand<X>(up),
        Operand<X>(dy),
        {Operand<X>(dgate), static_cast<C>(args.beta_gate)},
        {Operand<X>(dup), static_cast<C>(args.beta_up)}};
    for_units(device, dy.rows, dy.cols, {gate, up, dy, dgate, dup}, f);
  });
}

}  // namespace loragrad::cuda

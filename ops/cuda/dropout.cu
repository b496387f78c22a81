#include "ops/cuda/dropout_mask.h"

#include "ops/cuda/kernels.h"
#include "ops/cuda/units.h"

namespace loragrad::cuda {
namespace {

/// y = mask(x) + beta y
template <class X>
struct DropoutUnits {
  using C = Computing<X>;
  static constexpr int unit = mask_group, batch = 1;
  Operand<X> x;
  Target<X, C> y;
  MaskArgs mask;
  struct Loaded {
    Unit<Held<X>, unit> x, y;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    return {x.template load<unit>(at), y.template load<unit>(at)};
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) values[i] = loaded.x.template get<C>(i);
    apply_mask(mask, at.row, at.col / mask_group, values);
    y.store(at, values, loaded.y);
  }
};

}  // namespace

void dropout(Device& device, const DropoutArgs& args, void*) {
  with_common_type({args.x, args.y}, [&](auto element) {
    using X = decltype(element);
    using C = Computing<X>;
    DropoutUnits<X> f{Operand<X>(args.x), {Operand<X>(args.y), static_cast<C>(args.beta)}, mask_args(args.mask)};
    for_units(device, args.y.rows, args.y.cols, {args.x, args.y}, f);
  });
}

}  // namespace loragrad::cuda

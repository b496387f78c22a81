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
  Operand<X> x, y;
  MaskArgs mask;
  C beta;
  struct Loaded {
    Unit<Held<X>, unit> x, y;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    Loaded loaded{x.template load<unit>(at), {}};
    if (beta != 0) loaded.y = y.template load<unit>(at);
    return loaded;
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) values[i] = loaded.x.template get<C>(i);
    apply_mask(mask, at.row, at.col / mask_group, values);
    if (beta != 0) add_scaled(values, beta, loaded.y);
    y.store(at, values);
  }
};

}  // namespace

void dropout(Device& device, const DropoutArgs& args, void*) {
  with_common_type({args.x, args.y}, [&](auto element) {
    using X = decltype(element);
    using C = Computing<X>;
    DropoutUnits<X> f{Operand<X>(args.x), Operand<X>(args.y), mask_args(args.mask), static_cast<C>(args.beta)};
    for_units(device, args.y.rows, args.y.cols, {args.x, args.y}, f);
  });
}

}  // namespace loragrad::cuda

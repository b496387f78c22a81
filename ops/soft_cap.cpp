#include "ops/soft_cap.h"

#include <cmath>
#include <string>

#include "engine/error.h"

namespace loragrad {

void soft_cap(Tensor& x, double cap) {
  if (x.dtype() != DType::f32 && x.dtype() != DType::f64)
    throw ShapeError("soft_cap: expected f32 or f64, found " + std::string(name_of(x.dtype())));
  if (!(cap > 0 && std::isfinite(cap)))
    throw ShapeError("soft_cap: expected a cap above 0, found " + std::to_string(cap));
  x.device()->kernels().soft_cap(*x.device(), {.y = x.mutable_matrix(), .soft_cap = cap});
}

}  // namespace loragrad

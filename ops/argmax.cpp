#include "ops/argmax.h"

#include <string>

#include "engine/error.h"

namespace loragrad {

std::vector<std::int32_t> argmax(const Tensor& x) {
  if ((x.dtype() != DType::f32 && x.dtype() != DType::f64) || x.cols() == 0)
    throw ShapeError("argmax: expected columns of f32 or f64, found " + x.shape().text() + " of " +
                     std::string(name_of(x.dtype())));
  Device& device = *x.device();
  Tensor ids = Tensor::empty(x.device(), {x.rows(), 1}, DType::i32);
  device.kernels().argmax(device, {.x = x.matrix(), .ids = ids.mutable_data<std::int32_t>()});
  return ids.values<std::int32_t>();
}

}  // namespace loragrad

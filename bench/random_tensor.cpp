#include "bench/random_tensor.h"

#include "engine/random.h"

namespace loragrad::bench {

Tensor random_tensor(const DevicePtr& device, Shape shape, DType dtype) {
  Random random(/*seed=*/2, /*stream=*/0);
  std::vector<float> some(8191), values(static_cast<std::size_t>(shape.numel()));
  for (float& x : some) x = static_cast<float>(2 * random.uniform() - 1);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = some[i % some.size()];
  Tensor wide = Tensor::from(device, shape, values.data());
  return dtype == DType::f32 ? wide : wide.to(dtype);
}

}  // namespace loragrad::bench

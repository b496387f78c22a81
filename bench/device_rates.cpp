#include "bench/device_rates.h"

#include <functional>

#include "bench/random_tensor.h"
#include "bench/timing.h"
#include "ops/gemm.h"

namespace loragrad::bench {
namespace {

/// Seconds of one call, of several that follow each other as in a step: the median, after one that warms up.
double warm_seconds(Device& device, const std::function<void()>& call) {
  constexpr int calls = 5;
  std::vector<double> found;
  for (int i = 0; i < 6; ++i)
    found.push_back(device.seconds_of([&] {
      for (int j = 0; j < calls; ++j) call();
    }));
  found.erase(found.begin());
  return median(found) / calls;
}

}  // namespace

double copy_rate(const DevicePtr& device) {
  Shape shape{128 << 10, 1024};
  Tensor from = Tensor::zeros(device, shape, DType::f32), to = Tensor::zeros(device, shape, DType::f32);
  AccumulateArgs copy{from.matrix(), 1, to.mutable_matrix(), 0};
  double seconds = warm_seconds(*device, [&] { device->kernels().accumulate(*device, copy); });
  return 2 * static_cast<double>(from.bytes()) / seconds;
}

double product_rate(const DevicePtr& device, DType dtype, std::int64_t n) {
  Tensor a = random_tensor(device, {n, n}, dtype), b = random_tensor(device, {n, n}, dtype);
  Tensor c = Tensor::empty(device, {n, n}, dtype);
  GemmArgs product{.c = c.mutable_matrix(), .a = a.matrix(), .b = b.matrix(), .transpose_b = true};
  double seconds = warm_seconds(*device, [&] { gemm(*device, product); });
  double side = static_cast<double>(n);
  return 2 * side * side * side / seconds;
}

}  // namespace loragrad::bench

// The head and its loss where the logits take several tiles, against the processor's.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "engine/tensor.h"
#include "ops/cpu/cpu_device.h"
#include "tests/cuda_emulation/emulated_device.h"

using namespace loragrad;

namespace {

struct Outcome {
  double sum, loss;
  std::vector<double> dx, dhead;
};

Outcome run(const DevicePtr& device, std::int64_t tokens, std::int64_t vocab, std::int64_t width) {
  std::mt19937 random(5);
  auto normal = [&](Shape shape) {
    std::normal_distribution<double> draw;
    std::vector<double> values(static_cast<std::size_t>(shape.numel()));
    for (double& value : values) value = draw(random);
    return Tensor::from(device, shape, std::move(values));
  };
  std::vector<std::int32_t> supervised, ids;
  for (std::int32_t t = 0; t < tokens; ++t)
    if (t % 4 != 1) {
      supervised.push_back(t);
      ids.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(vocab)));
    }
  auto count = static_cast<std::int64_t>(ids.size());
  Tensor x = normal({tokens, width}), head = normal({vocab, width});
  Tensor places = Tensor::from(device, {count, 1}, supervised.data()),
         targets = Tensor::from(device, {count, 1}, ids.data());
  Tensor sum = Tensor::empty(device, {1, 1}, DType::f64), loss = Tensor::empty(device, {1, 1}, DType::f64);
  Tensor dx = Tensor::empty(device, x.shape(), DType::f64), dhead = Tensor::empty(device, head.shape(), DType::f64);
  for (Tensor* t : {&sum, &loss, &dx, &dhead}) t->fill(std::nan(""));
  device->kernels().head_loss(*device, {.x = x.matrix(),
                                        .head = head.matrix(),
                                        .tokens = places.data<std::int32_t>(),
                                        .ids = targets.data<std::int32_t>(),
                                        .count = count,
                                        .denominator = 3,
                                        .sum = sum.mutable_data<double>(),
                                        .loss = loss.mutable_matrix(),
                                        .dx = dx.mutable_matrix(),
                                        .dhead = dhead.mutable_matrix()});
  return {sum.item(), loss.item(), dx.values<double>(), dhead.values<double>()};
}

bool close(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) < 1e-12)) return false;
  return true;
}

}  // namespace

TEST_CASE("head and loss in several tiles") {
  // A row of logits has 2.4 MB, so that a tile has 64 tokens.
  Outcome found = run(test::emulated_device(), 90, 300'001, 2), wanted = run(cpu_device(1), 90, 300'001, 2);
  CHECK(std::abs(found.sum - wanted.sum) < 1e-9);
  CHECK(std::abs(found.loss - wanted.loss) < 1e-9);
  CHECK(close(found.dx, wanted.dx));
  CHECK(close(found.dhead, wanted.dhead));
}

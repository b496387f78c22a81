#include <doctest/doctest.h>

#include <type_traits>
#include <utility>

#include "engine/backward.h"
#include "engine/error.h"
#include "engine/parameter.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/meta_device.h"
#include "tests/device/test_device.h"

using namespace loragrad;

namespace {
Tensor leaf(const DevicePtr& device, std::vector<double> values) {
  Tensor t = Tensor::from(device, {1, static_cast<std::int64_t>(values.size())}, values.data());
  return t.set_trainable();
}

// Has a gradient, or can be made into what has one.
template <typename T, typename = Tensor>
struct LeadsToGradient : std::is_constructible<Tensor, T> {};
template <typename T>
struct LeadsToGradient<T, decltype(std::declval<T>().grad())> : std::true_type {};
}  // namespace

TEST_CASE("from a Weight there is no way to a gradient") {
  static_assert(LeadsToGradient<Tensor>::value);
  static_assert(!LeadsToGradient<Weight>::value);
  static_assert(!LeadsToGradient<WeightView>::value);
  DevicePtr device = test_device(1);
  Tensor x = leaf(device, {2});
  CHECK(Parameter(x).needs_grad());
  CHECK_FALSE(Parameter(Weight(x)).needs_grad());
  CHECK_FALSE(Parameter(x).weight().to_tensor(DType::f32).needs_grad());
}

TEST_CASE("a graph of 100,000 nodes runs backward, and is freed, without deep recursion") {
  DevicePtr device = test_device(1);
  Tensor x = leaf(device, {2});
  {
    Tensor y = x;
    for (int i = 0; i < 100'000; ++i) y = add(y, x);
    backward(y);
  }
  CHECK(x.grad().values<double>()[0] == 100'001);
  Tensor y = x;
  for (int i = 0; i < 100'000; ++i) y = scale(y, 1);
  y = Tensor();  // never run: only freed
  CHECK(device->memory().live() == x.bytes() + x.grad().bytes());
}

TEST_CASE("an input that is used several times collects all its gradients") {
  DevicePtr device = test_device(1);
  Tensor x = leaf(device, {3, -1});
  Tensor a = scale(x, 2), b = add(a, a), c = add(b, x);  // c = 5 x
  std::vector<double> dy{1, 10};
  backward(c, Tensor::from(device, {1, 2}, dy.data()));
  CHECK(x.grad().values<double>() == std::vector<double>{5, 50});
  backward(scale(x, 1), Tensor::from(device, {1, 2}, dy.data()));
  CHECK(x.grad().values<double>() == std::vector<double>{6, 60});
}

TEST_CASE("a value changed in place after it was saved is detected") {
  DevicePtr device = test_device(1);
  Tensor x = leaf(device, {1, 2}), w = leaf(device, {0.5, 0.25});
  Tensor h = scale(x, 3);
  Tensor y = linear(h, w, Tensor());  // keeps h for dw
  h.set_values(std::vector<double>{7, 0.75});
  CHECK_THROWS_WITH_AS(backward(y), doctest::Contains("changed in place"), UsageError);
}

TEST_CASE("a graph can be used once, and only from what depends on something trainable") {
  DevicePtr device = test_device(1);
  Tensor x = leaf(device, {4});
  Tensor y = scale(x, 2);
  backward(y);
  CHECK_THROWS_WITH_AS(backward(y), doctest::Contains("already run"), UsageError);
  CHECK_THROWS_AS(backward(scale(x.detach(), 2)), UsageError);
  Tensor wide = leaf(device, {1, 2});
  CHECK_THROWS_AS(backward(scale(wide, 2)), ShapeError);
}

TEST_CASE("nothing is recorded below the first trainable value") {
  DevicePtr device = test_device(1);
  Tensor frozen = leaf(device, {1, 2}).detach();
  CHECK_FALSE(scale(frozen, 2).needs_grad());
  std::size_t before = device->memory().live();
  Tensor y = scale(scale(frozen, 2), 2);
  CHECK(device->memory().live() == before + y.bytes());
}

TEST_CASE("backward frees what was saved as it goes") {
  DevicePtr device = test_device(1);
  Tensor x = leaf(device, {1, 2}), w = leaf(device, {0.5, 0.25});
  Tensor y = linear(scale(x, 2), w, Tensor());
  backward(y);
  std::size_t saved = 0;
  for_each_node(y, [&](const Node& node) { saved += node.saved_bytes(); });
  CHECK(saved == 0);
}

TEST_CASE("memory is counted, live and peak, and the meta device counts the same without any") {
  DevicePtr cpu = test_device(2), meta = meta_device(cpu);
  auto run = [](const DevicePtr& device) {
    Tensor x = Tensor::zeros(device, {7, 5}, DType::f64);
    x.set_trainable();
    std::vector<double> w(15, 0.5);
    Tensor y = linear(x, Weight(Tensor::from(device, {3, 5}, w.data())), Weight());
    Tensor dy = Tensor::zeros(device, y.shape(), DType::f64);
    backward(y, dy);
    return device->memory().peak();
  };
  CHECK(run(cpu) == run(meta));
  CHECK(run(cpu) > 7 * 5 * 8 * 2);
}

TEST_CASE("tensors refuse a wrong type, an undefined operand and bf16 parameters") {
  DevicePtr device = test_device(1);
  Tensor x = Tensor::zeros(device, {1, 2}, DType::f32);
  CHECK_THROWS_AS(x.data<double>(), UsageError);
  CHECK_THROWS_AS(Tensor().shape(), UsageError);
  CHECK_THROWS_AS(Tensor::zeros(device, {1, 2}, DType::bf16).set_trainable(), UsageError);
}

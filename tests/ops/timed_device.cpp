#include "ops/timed_device.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "engine/backward.h"
#include "ops/cpu/cpu_device.h"
#include "ops/linear.h"
#include "ops/meta_device.h"
#include "ops/norm.h"

using namespace loragrad;

namespace {

/// y = rms_norm(x W1ᵀ) W2ᵀ and dx; the values of both.
std::vector<float> small_graph(const DevicePtr& device) {
  std::vector<float> values(12 * 8);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1f * static_cast<float>(i % 17) - 0.7f;
  Tensor x = Tensor::from(device, {5, 8}, values.data());
  x.set_trainable();
  Weight w1(Tensor::from(device, {12, 8}, values.data())), w2(Tensor::from(device, {3, 12}, values.data())),
      scale(Tensor::from(device, {1, 12}, values.data()));
  Tensor y = linear(rms_norm(linear(x, w1, Weight()), scale, 1e-5, DType::f32), w2, Weight());
  Tensor dy = Tensor::empty(device, y.shape(), DType::f32);
  dy.fill(0.3);
  backward(y, dy);
  std::vector<float> out = y.values<float>(), dx = x.grad().values<float>();
  out.insert(out.end(), dx.begin(), dx.end());
  return out;
}

}  // namespace

TEST_CASE("a timed device gives its device's bits, and tells each kernel call") {
  DevicePtr cpu = cpu_device(1);
  std::map<std::string, int> calls;
  std::vector<std::string> shapes;
  double seconds = 0;
  DevicePtr timed = timed_device(cpu, [&](const KernelCall& call) {
    ++calls[std::string(call.name)];
    CHECK(call.seconds >= 0);
    seconds += call.seconds;
    CHECK((call.gemm != nullptr) == (call.name == "gemm"));
    if (call.gemm) shapes.push_back(Shape{call.gemm->c.rows, call.gemm->c.cols}.text());
  });
  CHECK(small_graph(timed) == small_graph(cpu));
  std::string told;
  for (const auto& [name, count] : calls) told += name + " " + std::to_string(count) + ", ";
  CHECK(told == "gemm 4, norm 1, norm_backward 1, ");
  CHECK(shapes == std::vector<std::string>{"[5, 12]", "[5, 3]", "[5, 12]", "[5, 8]"});
  CHECK(seconds > 0);
  CHECK(timed->name() == cpu->name());
  CHECK(timed->has_bf16() == cpu->has_bf16());
}

TEST_CASE("a timed device takes the memory that its device takes") {
  DevicePtr cpu = cpu_device(1), timed = timed_device(cpu_device(1), [](const KernelCall&) {});
  small_graph(cpu);
  small_graph(timed);
  CHECK(timed->memory().peak() == cpu->memory().peak());
  CHECK(timed->memory().live() == 0);
  DevicePtr meta = timed_device(meta_device(cpu), [](const KernelCall&) {});
  CHECK(meta->is_meta());
  small_graph(meta);
  CHECK(meta->memory().peak() == cpu->memory().peak());
}

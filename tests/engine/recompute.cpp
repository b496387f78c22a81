#include "engine/recompute.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/backward.h"
#include "engine/error.h"
#include "engine/random.h"
#include "ops/activation.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/timed_device.h"
#include "tests/device/test_device.h"

using namespace loragrad;

namespace {

constexpr std::int64_t width = 6, tokens = 5;

Tensor random_tensor(const DevicePtr& device, Shape shape, std::uint64_t stream) {
  Random random(21, stream);
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (double& value : values) value = random.normal();
  return Tensor::from(device, shape, values.data());
}

/// A block with what a transformer's has: a norm's recipe, a trained map, a nonlinearity, and the input added at last.
struct Block {
  explicit Block(const DevicePtr& device, std::uint64_t stream, bool trained)
      : w(random_tensor(device, {width, width}, stream)), ones(Tensor::zeros(device, {1, width}, DType::f64)) {
    ones.fill(1);
    if (trained) w.set_trainable();
  }
  Tensor operator()(const Tensor& x) const {
    Tensor y = linear(rms_norm(x, Weight(ones), 1e-5, DType::f64), w, Tensor());
    return add(x, linear(gated(Activation::silu, y, y), w, Tensor()));
  }
  Tensor w, ones;
};

std::size_t kept(const Tensor& y) {
  std::size_t bytes = 0;
  for_each_node(y, [&](const Node& node) { bytes += node.saved_bytes(); });
  return bytes;
}

std::size_t nodes(const Tensor& y) {
  std::size_t n = 0;
  for_each_node(y, [&](const Node&) { ++n; });
  return n;
}

/// Three blocks, of which the first and the last are trained; the gradients of the leaves.
std::vector<double> gradients(bool recomputed, bool trained_input, std::size_t* kept_bytes = nullptr) {
  DevicePtr device = test_device(1);
  Tensor x = random_tensor(device, {tokens, width}, 1);
  if (trained_input) x.set_trainable();
  std::vector<Block> blocks{Block(device, 2, true), Block(device, 3, false), Block(device, 4, true)};
  // Used twice, so that gradients add up.
  Tensor h = trained_input ? scale(x, 2) : x;
  for (const Block& block : blocks) h = recomputed ? recompute(h, block) : block(h);
  if (kept_bytes) *kept_bytes = kept(h);
  backward(h, random_tensor(device, {tokens, width}, 9));
  std::vector<double> all;
  for (Tensor leaf : {blocks[0].w, blocks[2].w, x}) {
    if (!leaf.grad().defined()) continue;
    for (double value : leaf.grad().values<double>()) all.push_back(value);
  }
  CHECK_FALSE(blocks[1].w.grad().defined());
  return all;
}

}  // namespace

TEST_CASE("gradients through recomputed blocks are the same bits, whether the input needs one or not") {
  for (bool trained_input : {false, true}) {
    std::vector<double> direct = gradients(false, trained_input), recomputed = gradients(true, trained_input);
    CHECK(direct.size() == static_cast<std::size_t>(2 * width * width + (trained_input ? tokens * width : 0)));
    CHECK(direct == recomputed);
  }
}

TEST_CASE("a recomputed block keeps its input, and says so") {
  std::size_t direct = 0, recomputed = 0;
  gradients(false, true, &direct);
  gradients(true, true, &recomputed);
  CHECK(recomputed == 3 * tokens * width * sizeof(double));
  CHECK(direct > recomputed);
}

TEST_CASE("of many recomputed blocks one at a time has its values in memory") {
  DevicePtr device = test_device(1);
  auto peak = [&](bool recomputed, int count) {
    Tensor x = random_tensor(device, {64, width}, 1);
    Block block(device, 2, true);
    device->memory().reset_peak();
    std::size_t before = device->memory().live();
    Tensor h = x;
    for (int i = 0; i < count; ++i) h = recomputed ? recompute(h, block) : block(h);
    backward(h, random_tensor(device, {64, width}, 9));
    return device->memory().peak() - before;
  };
  std::size_t one = 64 * width * sizeof(double);
  CHECK(peak(true, 12) <= peak(true, 4) + 8 * one);
  CHECK(peak(false, 12) >= peak(false, 4) + 8 * 2 * one);
  CHECK(peak(true, 1) <= peak(false, 1) + 2 * one);
}

TEST_CASE("nothing is recorded below the first trained value, and a block's own leaves are enough") {
  DevicePtr device = test_device(1);
  Tensor x = random_tensor(device, {tokens, width}, 1);
  Tensor below = recompute(x, Block(device, 2, false));
  CHECK_FALSE(below.needs_grad());
  Tensor y = recompute(below, Block(device, 3, true));
  CHECK(y.needs_grad());
  CHECK(nodes(y) == 1);
}

TEST_CASE("a block without trained values passes its input's gradient on") {
  DevicePtr device = test_device(1);
  auto gradient = [&](bool recomputed) {
    Tensor x = random_tensor(device, {tokens, width}, 1);
    x.set_trainable();
    Block block(device, 2, false);
    backward(recomputed ? recompute(x, block) : block(x), random_tensor(device, {tokens, width}, 9));
    return x.grad().values<double>();
  };
  CHECK(gradient(true) == gradient(false));
}

TEST_CASE("an input that is a recipe is computed again from its source") {
  DevicePtr device = test_device(1);
  Tensor ones = Tensor::zeros(device, {1, width}, DType::f64);
  ones.fill(1);
  std::size_t bytes = 1;
  auto gradient = [&](bool recomputed) {
    Tensor x = random_tensor(device, {tokens, width}, 1);
    x.set_trainable();
    Block block(device, 2, true);
    Tensor normed = rms_norm(x, Weight(ones), 1e-5, DType::f64);
    Tensor y = recomputed ? recompute(normed, block) : block(normed);
    if (recomputed) bytes = y.impl()->node->saved_bytes();
    normed = Tensor();
    backward(y, random_tensor(device, {tokens, width}, 9));
    std::vector<double> all = x.grad().values<double>();
    for (double value : block.w.grad().values<double>()) all.push_back(value);
    return all;
  };
  std::vector<double> direct = gradient(false);
  CHECK(gradient(true) == direct);
  CHECK(bytes == 0);
}

TEST_CASE("a block's output does not hold on to the block's values by a recipe") {
  DevicePtr device = test_device(1);
  Tensor ones = Tensor::zeros(device, {1, width}, DType::f64), x = random_tensor(device, {tokens, width}, 1);
  ones.fill(1);
  Block block(device, 2, true);
  std::size_t before = device->memory().live();
  Tensor y = recompute(x, [&](const Tensor& input) { return rms_norm(block(input), Weight(ones), 1e-5, DType::f64); });
  CHECK(device->memory().live() == before + y.bytes());
}

TEST_CASE("a computed value that slips into a block beside its input is refused where its gradient would be lost") {
  DevicePtr device = test_device(1);
  for (bool block_first : {false, true}) {
    Tensor x = random_tensor(device, {tokens, width}, 1);
    x.set_trainable();
    Tensor h = scale(x, 2), outside = scale(x, 3);
    Tensor y = recompute(h, [outside](const Tensor& input) { return add(input, outside); });
    Tensor sum = block_first ? add(scale(outside, 1), y) : add(y, scale(outside, 1));
    CHECK_THROWS_WITH_AS(backward(sum, random_tensor(device, {tokens, width}, 9)),
                         doctest::Contains("scale has already run backward"), UsageError);
  }
}

TEST_CASE("bf16 values go through a recomputed block") {
  DevicePtr device = test_device(1);
  auto gradient = [&](bool recomputed) {
    Tensor x = random_tensor(device, {tokens, width}, 1).to(DType::f32);
    x.set_trainable();
    Tensor h = cast(x, DType::bf16);
    auto block = [](const Tensor& input) { return activation(Activation::silu, input); };
    Tensor y = cast(recomputed ? recompute(h, block) : block(h), DType::f32);
    backward(y, random_tensor(device, {tokens, width}, 9).to(DType::f32));
    return x.grad().values<float>();
  };
  CHECK(gradient(true) == gradient(false));
}

TEST_CASE("running again forms what backward reads, and not the output") {
  std::map<std::string, int> calls;
  DevicePtr device = timed_device(test_device(1), [&](const KernelCall& call) { ++calls[std::string(call.name)]; });
  Tensor ones = Tensor::zeros(device, {1, width}, DType::f64), x = random_tensor(device, {tokens, width}, 1);
  ones.fill(1);
  x.set_trainable();
  Weight w(random_tensor(device, {width, width}, 2));
  auto count = [&](bool norm_last) {
    Tensor y = recompute(x, [&](const Tensor& input) {
      Tensor middle = add(input, linear(rms_norm(input, Weight(ones), 1e-5, DType::f64), w, {}));
      Tensor out = add(middle, linear(activation(Activation::silu, linear(middle, w, {})), w, {}));
      return norm_last ? rms_norm(out, Weight(ones), 1e-5, DType::f64) : out;
    });
    calls.clear();
    backward(y, random_tensor(device, {tokens, width}, 9));
    return std::pair(calls["gemm"], calls["add"]);
  };
  // Three gradients, and of the three products of the block the first two: the sum after the third is not read.
  CHECK(count(false) == std::pair(3 + 2, 1));
  CHECK(count(true) == std::pair(3 + 3, 2));
}

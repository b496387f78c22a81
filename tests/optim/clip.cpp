#include "optim/clip.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ops/meta_device.h"
#include "tests/device/test_device.h"

using namespace loragrad;

TEST_CASE("the norm is over all gradients together") {
  DevicePtr device = test_device(1);
  auto with_gradient = [&](float a, float b) {
    Tensor t = Tensor::zeros(device, {1, 2}, DType::f32);
    t.set_trainable();
    float values[] = {a, b};
    t.impl()->grad = Tensor::from(device, {1, 2}, values);
    return t;
  };
  Tensor none = Tensor::zeros(device, {1, 2}, DType::f32);
  none.set_trainable();
  auto gradient_norm = [&](const std::vector<Tensor>& parameters) {
    Tensor found = Tensor::zeros(device, {1, 2}, DType::f64);
    clip_gradients(parameters, 0, found);
    return found.cols(0, 1).item();
  };
  CHECK(gradient_norm({}) == 0);
  CHECK(gradient_norm({none}) == 0);
  CHECK(gradient_norm({with_gradient(2, 3), none, with_gradient(6, 0)}) == doctest::Approx(7).epsilon(1e-15));
  // Squares that f32 cannot hold.
  CHECK(gradient_norm({with_gradient(3e30f, 4e30f)}) == doctest::Approx(5e30).epsilon(1e-6));
  CHECK(std::isnan(gradient_norm({with_gradient(1, std::numeric_limits<float>::quiet_NaN())})));
  CHECK(std::isinf(gradient_norm({with_gradient(1, std::numeric_limits<float>::infinity())})));
}

TEST_CASE("an outline has no memory to point into") {
  DevicePtr device = meta_device(test_device(1));
  Tensor t = Tensor::empty(device, {1, 2}, DType::f32), found = Tensor::empty(device, {1, 2}, DType::f64);
  t.set_trainable();
  t.impl()->grad = Tensor::empty(device, {1, 2}, DType::f32);
  clip_gradients({t}, 1, found);
  CHECK(found.data<double>() == nullptr);
}

TEST_CASE("clipping only ever shrinks, and zero turns it off") {
  DevicePtr device = test_device(1);
  auto factor = [&](double norm, double max_norm) {
    Tensor t = Tensor::zeros(device, {1, 1}, DType::f64), found = Tensor::zeros(device, {1, 2}, DType::f64);
    t.set_trainable();
    t.impl()->grad = Tensor::from(device, {1, 1}, &norm);
    clip_gradients({t}, max_norm, found);
    CHECK(found.cols(0, 1).item() == norm);
    return found.cols(1, 1).item();
  };
  CHECK(factor(4, 1) == 1 / (4 + 1e-6));
  CHECK(factor(0.5, 1) == 1);
  CHECK(factor(0, 1) == 1);
  CHECK(factor(1e9, 0) == 1);
}

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/backward.h"
#include "engine/error.h"
#include "ops/elementwise.h"
#include "ops/meta_device.h"
#include "tests/device/test_device.h"

using namespace loragrad;

namespace {

using Values = std::vector<double>;

/// 0, 1, 2, ... row by row.
Tensor counted(const DevicePtr& device, Shape shape) {
  Values values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return Tensor::from(device, shape, values.data());
}

/// Memory that is used next holds NaN, so that what is never written is seen.
void spoil_memory(const DevicePtr& device) {
  Tensor t = Tensor::empty(device, {64, 64}, DType::f64);
  t.fill(std::numeric_limits<double>::quiet_NaN());
}

}  // namespace

TEST_CASE("views share the values, whatever they are views of") {
  Tensor x = counted(test_device(1), {3, 4});
  CHECK(x.rows(1, 2).values<double>() == Values{4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(x.cols(1, 2).values<double>() == Values{1, 2, 5, 6, 9, 10});
  CHECK(x.cols(1, 3).rows(1, 2).cols(1, 1).values<double>() == Values{6, 10});
  CHECK(x.reshape({2, 6}).rows(1, 1).values<double>() == Values{6, 7, 8, 9, 10, 11});
  CHECK(x.cols(1, 2).to(DType::f32).values<float>() == std::vector<float>{1, 2, 5, 6, 9, 10});
  std::uint64_t version = x.version();
  x.cols(1, 2).fill(-1);
  CHECK(x.values<double>() == Values{0, -1, -1, 3, 4, -1, -1, 7, 8, -1, -1, 11});
  CHECK(x.version() > version);
  CHECK(x.rows(3, 0).numel() == 0);
}

TEST_CASE("views that are not there are refused") {
  Tensor x = counted(test_device(1), {3, 4});
  CHECK_THROWS_AS(x.rows(2, 2), ShapeError);
  CHECK_THROWS_AS(x.cols(-1, 2), ShapeError);
  CHECK_THROWS_AS(x.cols(0, 5), ShapeError);
  CHECK_THROWS_AS(x.rows(1, -1), ShapeError);
  CHECK_THROWS_AS(x.reshape({3, 5}), ShapeError);
  CHECK_THROWS_WITH_AS(x.cols(0, 2).reshape({1, 6}), "reshape: [3, 2] with rows apart to [1, 6]", ShapeError);
  CHECK_THROWS_WITH_AS(x.cols(0, 2).data<double>(), "tensor: [3, 2] was read in one piece, but its rows lie apart",
                       UsageError);
  CHECK(x.rows(1, 1).cols(2, 2).values<double>()[1] == 7);
}

TEST_CASE("gradients of views go straight into their parts of one buffer") {
  DevicePtr device = test_device(1);
  Tensor x = counted(device, {2, 6}).set_trainable();
  Tensor y = scale(x, 2);  // has a node, whose gradient is collected
  Tensor sum = add(add(y.cols(0, 2), y.cols(2, 2)), y.cols(4, 2));
  spoil_memory(device);
  std::uint64_t before = device->memory().allocations();
  backward(sum, counted(device, {2, 2}));
  CHECK(x.grad().values<double>() == Values{0, 2, 0, 2, 0, 2, 4, 6, 4, 6, 4, 6});
  CHECK(device->memory().allocations() - before == 3);  // the cotangent, dy and dx: nothing is copied
}

TEST_CASE("parts that overlap add up, and what no view reads gets zero") {
  DevicePtr device = test_device(1);
  for (bool leaf : {true, false}) {
    Tensor x = counted(device, {3, 5}).set_trainable(), y = leaf ? x : scale(x, 1);
    Tensor part = add(y.cols(0, 3).rows(1, 2), y.cols(2, 3).rows(0, 2));
    Tensor ones = Tensor::empty(device, {2, 3}, DType::f64);
    ones.fill(1);
    spoil_memory(device);
    backward(part, ones);
    CHECK(x.grad().values<double>() == Values{0, 0, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 0, 0});
  }
}

TEST_CASE("a view and the whole of a value may both be used, in any order") {
  DevicePtr device = test_device(1);
  Tensor x = counted(device, {2, 3}).set_trainable();
  Tensor ones = Tensor::empty(device, {2, 3}, DType::f64);
  ones.fill(1);
  for (bool first : {true, false}) {
    x.clear_grad();
    Tensor y = scale(x, 1), top = y.rows(0, 1);
    Tensor padded = add(y, y);
    Tensor both = first ? add(padded, add(y, add(y, y))) : padded;
    spoil_memory(device);
    backward(add(both.rows(0, 1), top), ones.rows(0, 1));
    double factor = first ? 6 : 3;
    CHECK(x.grad().values<double>() == Values{factor, factor, factor, 0, 0, 0});
  }
}

TEST_CASE("backward begins at a view, and a reshaped value takes its gradient back") {
  DevicePtr device = test_device(1);
  Tensor x = counted(device, {2, 3}).set_trainable();
  backward(scale(x, 3).cols(1, 1), counted(device, {2, 1}));
  CHECK(x.grad().values<double>() == Values{0, 0, 0, 0, 3, 0});
  x.clear_grad();
  backward(scale(scale(x, 2).reshape({3, 2}), 1), counted(device, {3, 2}));
  CHECK(x.grad().values<double>() == Values{0, 2, 4, 6, 8, 10});
  CHECK_THROWS_AS(x.rows(0, 1).set_trainable(), UsageError);
}

TEST_CASE("a cotangent may be a view, whatever node takes it") {
  DevicePtr device = test_device(1);
  Tensor x = counted(device, {2, 3}).set_trainable(), dy = counted(device, {3, 4});
  backward(x.reshape({3, 2}), dy.cols(1, 2));
  CHECK(x.grad().values<double>() == Values{1, 2, 5, 6, 9, 10});
}

TEST_CASE("backward is refused on a thread that does not record") {
  Tensor x = counted(test_device(1), {1, 1}).set_trainable(), y = scale(x, 2);
  Unrecorded unrecorded;
  CHECK_THROWS_AS(backward(y), UsageError);
}

TEST_CASE("a buffer that somebody holds is not written over") {
  DevicePtr device = test_device(1);
  Tensor x = counted(device, {1, 3}).set_trainable();
  backward(scale(x, 2), counted(device, {1, 3}));
  Tensor held = x.grad();
  backward(scale(x, 2), counted(device, {1, 3}));
  CHECK(held.values<double>() == Values{0, 2, 4});
  CHECK(x.grad().values<double>() == Values{0, 4, 8});
  Tensor whole = counted(device, {2, 2}), handle = whole;
  CHECK(!whole.is_sole_owner());
  handle = Tensor();
  CHECK(whole.is_sole_owner());
  CHECK(!whole.rows(0, 1).is_sole_owner());
}

TEST_CASE("views have no memory on a meta device") {
  DevicePtr meta = meta_device(test_device(1));
  Tensor x = Tensor::zeros(meta, {3, 4}, DType::f32).set_trainable();
  Tensor y = scale(x, 2);
  CHECK(y.cols(1, 2).matrix().data == nullptr);
  backward(add(y.cols(0, 2), y.cols(2, 2)), Tensor::zeros(meta, {3, 2}, DType::f32));
  CHECK(x.grad().shape() == Shape{3, 4});
}

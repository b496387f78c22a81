#include "optim/adamw.h"

#include <doctest/doctest.h>

#include <vector>

#include "engine/error.h"
#include "optim/clip.h"
#include "tests/device/test_device.h"

using namespace loragrad;

namespace {

using Table = std::vector<std::vector<double>>;

const std::vector<double> start{0.5, -1.25, 2.0, -0.03125, 0.0, 8.0};
const Table gradients{
    {0.25, -0.5, 0.0, 1e-4, -3.0, 40.0}, {-0.125, -0.5, 0.75, 2e-4, 0.0, -20.0}, {1.0, 0.25, -0.5, -1e-4, 3.0, 5.0}};
const std::vector<double> learning_rates{0.01, 0.002, 0.03};

template <class T>
Tensor tensor(const DevicePtr& device, const std::vector<double>& values) {
  std::vector<T> converted(values.begin(), values.end());
  return Tensor::from(device, {2, 3}, converted.data());
}

/// The parameter after each of three steps.
template <class T>
Table run(const AdamWConfig& config, double clip, std::vector<double>* norms = nullptr) {
  DevicePtr device = test_device(1);
  Tensor parameter = tensor<T>(device, start);
  parameter.set_trainable();
  AdamW optimizer({parameter}, config);
  Table out;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    parameter.impl()->grad = tensor<T>(device, gradients[i]);
    Tensor norm = Tensor::empty(device, {1, 2}, DType::f64);
    clip_gradients({parameter}, clip, norm);
    if (norms) norms->push_back(norm.cols(0, 1).item());
    optimizer.step(learning_rates[i], norm.cols(1, 1));
    std::vector<T> values = parameter.template values<T>();
    out.emplace_back(values.begin(), values.end());
  }
  CHECK(optimizer.steps() == 3);
  CHECK(optimizer.state_bytes() == 2 * 6 * sizeof(T));
  return out;
}

void check_close(const Table& found, const Table& expected, double tolerance) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    for (std::size_t j = 0; j < found[i].size(); ++j) {
      CAPTURE(i);
      CAPTURE(j);
      CHECK(found[i][j] == doctest::Approx(expected[i][j]).epsilon(tolerance));
    }
}

// From tests/optim/make_golden.py (torch 2.15, f64).
const Table plain{
    {0.49000000039999997, -1.2400000002, 2.0, -0.041249000099989996, 0.009999999966666666, 7.9900000000025},
    {0.4894673263476346, -1.23800000024, 1.9985117263809222, -0.04317924209072793, 0.011340116468620792,
     7.989467325923348},
    {0.46934789726176135, -1.222530398423755, 1.9947897625534008, -0.055781030116785035, 0.008764085045707075,
     7.981197986183429}};
const Table all_options{
    {0.4895398406374502, -1.2387699600798403, 1.998, -0.03212784090909091, 0.009996667777407531, 7.98200024999375},
    {0.4890191700513619, -1.2365261981037923, 1.9960517012929813, -0.032389770613647687, 0.011267572368204753,
     7.979978945192188},
    {0.46631983425282036, -1.219386076693549, 1.9877233354285184, -0.03362833201111635, 0.005816166388227281,
     7.948988643416932}};
const Table clipped{
    {0.48995001069765215, -1.239875005348829, 1.9998, -0.0412202021753188, 0.009999999108528118, 7.989200000066861},
    {0.49004734225225316, -1.2379202431513998, 1.998271730727335, -0.0429861008757701, 0.011339915447824029,
     7.9891473467354555},
    {0.47082713805888177, -1.2411548250320104, 2.008165428225361, -0.037323612418857594, -0.005346759088058029,
     7.97799875168379}};
const std::vector<double> clipped_norms{40.11623736107363, 20.020692421592216, 5.942432162843763};

}  // namespace

TEST_CASE("adamw takes torch's steps") {
  check_close(run<double>({}, 0), plain, 1e-13);
  check_close(run<double>({.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1}, 0), all_options, 1e-13);
  check_close(run<float>({}, 0), plain, 1e-5);
}

TEST_CASE("adamw with clipping takes torch's steps") {
  std::vector<double> norms;
  check_close(run<double>({.weight_decay = 0.01}, 1.5, &norms), clipped, 1e-12);
  check_close({norms}, {clipped_norms}, 1e-14);
}

TEST_CASE("a parameter without a gradient is left alone") {
  DevicePtr device = test_device(1);
  Tensor moved = tensor<float>(device, start), still = tensor<float>(device, start);
  moved.set_trainable();
  still.set_trainable();
  moved.impl()->grad = tensor<float>(device, gradients[0]);
  AdamW optimizer({still, moved}, {.weight_decay = 0.5});
  optimizer.step(0.1);
  CHECK(still.values<float>() == tensor<float>(device, start).values<float>());
  CHECK(moved.values<float>() != still.values<float>());
  CHECK(optimizer.state_bytes() == 2 * 6 * sizeof(float));
}

TEST_CASE("a learning rate's ratio is that of one parameter") {
  DevicePtr device = test_device(1);
  Tensor slow = tensor<double>(device, start), fast = tensor<double>(device, start),
         alone = tensor<double>(device, start);
  for (Tensor* parameter : {&slow, &fast, &alone}) parameter->set_trainable();
  AdamW both({slow, fast}, {.weight_decay = 0.1}, {1, 4}), single({alone}, {.weight_decay = 0.1});
  for (const std::vector<double>& gradient : gradients) {
    for (Tensor* parameter : {&slow, &fast, &alone}) parameter->impl()->grad = tensor<double>(device, gradient);
    both.step(0.01);
    single.step(0.04);
  }
  CHECK(fast.values<double>() == alone.values<double>());
  CHECK(slow.values<double>() != alone.values<double>());
}

TEST_CASE("an optimiser that is given another's moments goes on as that one") {
  DevicePtr device = test_device(1);
  auto step = [&](AdamW& optimizer, Tensor& parameter, std::size_t i) {
    parameter.impl()->grad = tensor<float>(device, gradients[i]);
    optimizer.step(learning_rates[i]);
  };
  // The second has no gradient, and so no moments.
  Tensor a = tensor<float>(device, start), idle = tensor<float>(device, start);
  for (Tensor* each : {&a, &idle}) each->set_trainable();
  AdamW one({a, idle}, {});
  step(one, a, 0);
  step(one, a, 1);
  CHECK_FALSE(one.moments(1).m.defined());
  Tensor b = Tensor::from(device, a.shape(), a.values<float>());
  b.set_trainable();
  AdamW two({b, idle}, {});
  auto copy = [&](const Tensor& moment) { return Tensor::from(device, moment.shape(), moment.values<float>()); };
  two.restore(one.steps(), {{copy(one.moments(0).m), copy(one.moments(0).v)}, {}});
  step(one, a, 2);
  step(two, b, 2);
  CHECK(a.values<float>() == b.values<float>());
  CHECK(two.steps() == 3);
  CHECK_THROWS_AS(two.restore(1, {{}}), ShapeError);
  CHECK_THROWS_AS(two.restore(1, {{idle.reshape({3, 2}), idle}, {}}), ShapeError);
}

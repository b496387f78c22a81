#include "train/time_profile.h"

#include "tests/device/test_device.h"
#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

GemmArgs product(std::int64_t m, std::int64_t n, std::int64_t k, bool transpose_a = false) {
  GemmArgs args;
  args.c = {nullptr, DType::f32, m, n, n};
  args.a = transpose_a ? ConstMatrix{nullptr, DType::f32, k, m, m} : ConstMatrix{nullptr, DType::f32, m, k, k};
  args.b = ConstMatrix{nullptr, DType::bf16, k, n, n};
  args.transpose_a = transpose_a;
  return args;
}

StepReport step(std::int64_t number, double seconds) {
  StepReport report;
  report.step = number;
  report.seconds = seconds;
  return report;
}

}  // namespace

TEST_CASE("a profile is the mean of all steps but the first, by phase; what runs between steps does not count") {
  TimeProfile profile;
  profile.kernel_called({"norm", 100});
  for (int i = 1; i <= 3; ++i) {
    profile.phase_begins(StepPhase::forward);
    profile.kernel_called({"norm", i * 1.0});
    profile.phase_begins(StepPhase::backward);
    profile.kernel_called({"norm", i * 0.5});
    profile.kernel_called({"add", 10});
    profile.phase_begins(StepPhase::update);
    profile.kernel_called({"adamw", 0.25});
    profile.step_ends(step(i, 20.0 * i));
    profile.kernel_called({"norm", 100});
  }
  TimeProfile::Report report = profile.report();
  CHECK(report.first_step == 2);
  CHECK(report.last_step == 3);
  CHECK(report.seconds == 50);
  REQUIRE(report.kernels.size() == 3);
  CHECK(report.kernels[0].name == "add");
  CHECK(report.kernels[1].name == "norm");
  CHECK(report.kernels[1].calls == 2);
  CHECK(report.kernels[1].seconds == std::array<double, 3>{2.5, 1.25, 0});
  CHECK(report.kernels[2].seconds == std::array<double, 3>{0, 0, 0.25});
  CHECK(report.outside(0) == doctest::Approx(report.in_phase[0] - 2.5));
}

TEST_CASE("a step without a loss is none of a profile's steps, not even its first") {
  TimeProfile profile;
  for (int i = 1; i <= 6; ++i) {
    StepReport report = step(i, i);
    report.updated = i % 2 == 0;
    if (report.updated) profile.phase_begins(StepPhase::forward);
    profile.kernel_called({"norm", i * 1.0});
    profile.step_ends(report);
  }
  TimeProfile::Report report = profile.report();
  CHECK(report.first_step == 4);
  CHECK(report.last_step == 6);
  CHECK(report.steps == 2);
  CHECK(report.seconds == 5);
  CHECK(report.kernels.at(0).seconds[0] == 5);
  TimeProfile idle;
  StepReport none = step(1, 3);
  none.updated = false;
  idle.step_ends(none);
  CHECK(idle.report().steps == 0);
  CHECK(idle.report().seconds == 0);
}

TEST_CASE("the only step is its own profile") {
  TimeProfile profile;
  profile.phase_begins(StepPhase::forward);
  profile.kernel_called({"norm", 2});
  profile.step_ends(step(1, 3));
  TimeProfile::Report report = profile.report();
  CHECK(report.first_step == 1);
  CHECK(report.last_step == 1);
  CHECK(report.seconds == 3);
  CHECK(report.kernels.at(0).seconds[0] == 2);
}

TEST_CASE("products are told apart by their shapes, the number of tokens apart") {
  TimeProfile profile;
  profile.phase_begins(StepPhase::forward);
  GemmArgs a = product(100, 8, 16), b = product(200, 8, 16), c = product(16, 8, 100, true), d = product(100, 8, 24);
  for (const auto& [args, seconds] : {std::pair(&a, 1.0), {&b, 2.0}, {&c, 0.5}, {&d, 0.25}, {&d, 0.25}})
    profile.kernel_called({"gemm", seconds, args});
  profile.step_ends(step(1, 4));
  std::vector<TimeProfile::Product> products = profile.report().products;
  REQUIRE(products.size() == 3);
  CHECK(products[0].m == 150);
  CHECK(products[0].n == 8);
  CHECK(products[0].k == 16);
  CHECK(products[0].ragged);
  CHECK(products[0].calls == 2);
  CHECK(products[0].seconds == 3);
  CHECK(products[0].flops == 2.0 * 300 * 8 * 16);
  CHECK(products[0].b == DType::bf16);
  // Of a sum over tokens k is their number.
  const TimeProfile::Product& sum = products[1].transpose_a ? products[1] : products[2];
  CHECK(sum.transpose_a);
  CHECK(sum.m == 16);
  CHECK(sum.n == 8);
  CHECK(sum.k == 100);
  CHECK_FALSE(sum.ragged);
}

TEST_CASE("a timed run trains the same adapter, and its parts fit into its steps") {
  TinyModel folder;
  Dataset data = tiny_data(6);
  auto run = [&](const DevicePtr& device, const TrainObserver& observer) {
    std::unique_ptr<CausalLm> model = load_model(folder.path(), device, {.precision = Precision::f32});
    Adapter adapter = make_adapter(device, lora_config({"q_proj", "v_proj"}, 0.1), model->linear_shapes(), 1);
    train(*model, &adapter, data, {.lr = 1e-2, .batch_size = 2, .grad_accum = 2, .steps = 3}, nullptr, observer);
    return values_of(adapter);
  };
  std::string order;
  TimeProfile profile;
  DevicePtr timed = timed_device(test_device(1), [&](const KernelCall& call) { profile.kernel_called(call); });
  TrainObserver observer;
  observer.on_phase = [&](StepPhase phase) {
    order += "fbu"[static_cast<std::size_t>(phase)];
    profile.phase_begins(phase);
  };
  observer.on_step = [&](const StepReport& report) { profile.step_ends(report); };
  CHECK(run(timed, observer) == run(test_device(1), {}));
  CHECK(order == "fbfbufbfbufbfbu");

  TimeProfile::Report report = profile.report();
  double in_phases = 0, in_products = 0;
  for (std::size_t p = 0; p < TimeProfile::phases; ++p) {
    CHECK(report.outside(p) >= 0);
    in_phases += report.in_phase[p];
  }
  CHECK(in_phases == doctest::Approx(report.seconds).epsilon(0.5));
  for (const TimeProfile::Product& p : report.products) in_products += p.seconds;
  auto kernel = [&](const std::string& name) {
    for (const auto& k : report.kernels)
      if (k.name == name) return k;
    FAIL("no kernel " << name);
    return TimeProfile::Kernel{};
  };
  CHECK(in_products == doctest::Approx(kernel("gemm").total() + kernel("head_loss").total()));
  // Two layers, two micro-batches a step.
  CHECK(kernel("attention").calls == 4);
  CHECK(kernel("attention").seconds[1] == 0);
  CHECK(kernel("attention_backward").calls == 4);
  CHECK(kernel("attention_backward").seconds[0] == 0);
  CHECK(kernel("adamw").calls == 1);
  CHECK(kernel("adamw").seconds[2] > 0);
}

#include "tests/ops/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "engine/backward.h"
#include "engine/error.h"
#include "tests/device/test_device.h"

namespace loragrad {
namespace {

constexpr double step = 1e-5, relative = 1e-6, absolute = 1e-8;

/// d sum(y dy) / d(input element), for all inputs.
std::vector<std::vector<double>> differences(const OpCase& op_case, const Setting& setting,
                                             const std::vector<double>& dy) {
  std::vector<std::vector<double>> result;
  for (std::size_t i = 0; i < op_case.inputs.size(); ++i) {
    std::vector<Tensor> inputs = make_inputs(op_case, setting, 0);
    std::vector<double> values = read_values(inputs[i]), slopes;
    for (double& value : values) {
      double center = value, h = step * std::max(1.0, std::abs(center));
      auto evaluate = [&](double x) {
        value = x;
        inputs[i] = make_tensor(setting.device, op_case.inputs[i], DType::f64, values);
        return read_values(op_case.run(inputs, setting));
      };
      std::vector<double> above = evaluate(center + h), below = evaluate(center - h);
      value = center;
      double slope = 0;  // y above - y below first: their sums would cancel
      for (std::size_t j = 0; j < dy.size(); ++j) slope += dy[j] * (above[j] - below[j]) / (2 * h);
      slopes.push_back(slope);
    }
    result.push_back(slopes);
  }
  return result;
}

std::string compare(const std::vector<double>& gradient, const std::vector<double>& expected, double times) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    double wanted = times * expected[i];
    if (std::abs(gradient[i] - wanted) <= relative * std::abs(wanted) + absolute) continue;
    std::ostringstream text;
    text.precision(12);
    text << "element " << i << ": backward says " << gradient[i] << ", finite differences " << wanted;
    return text.str();
  }
  return "";
}

std::string check_mask(const OpCase& op_case, const Setting& setting, const std::vector<double>& dy, unsigned mask,
                       const std::vector<std::vector<double>>& expected) {
  std::vector<Tensor> inputs = make_inputs(op_case, setting, mask);
  for (int times = 1; times <= 2; ++times) {
    Tensor y = op_case.run(inputs, setting);
    if (!y.needs_grad()) return "the result needs no gradient";
    backward(y, make_tensor(setting.device, y.shape(), y.dtype(), dy));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      std::string where = "input " + std::to_string(i) + (times == 2 ? ", second backward" : "") + ": ";
      if (!(mask >> i & 1)) {
        if (inputs[i].grad().defined()) return where + "a gradient that nobody asked for";
        continue;
      }
      if (!inputs[i].grad().defined()) return where + "no gradient";
      if (inputs[i].grad().shape() != inputs[i].shape())
        return where + "gradient is " + inputs[i].grad().shape().text();
      std::string failure = compare(read_values(inputs[i].grad()), expected[i], times);
      if (!failure.empty()) return where + failure;
    }
  }
  return "";
}

}  // namespace

std::string gradient_failure(const OpCase& op_case) {
  if (!op_case.finite_differences) return "";
  for (std::uint64_t seed : {1, 2, 3}) {
    Setting setting{test_device(1), DType::f64, seed};
    Tensor y = op_case.run(make_inputs(op_case, setting, 0), setting);
    std::vector<double> dy = setting.normal(y.numel(), 99);
    std::vector<std::vector<double>> expected = differences(op_case, setting, dy);
    for (unsigned mask = 1; mask < 1u << op_case.inputs.size(); ++mask) {
      std::string failure = check_mask(op_case, setting, dy, mask, expected);
      if (!failure.empty())
        return op_case.name + ", seed " + std::to_string(seed) + ", mask " + std::to_string(mask) + ": " + failure;
    }
  }
  return "";
}

}  // namespace loragrad

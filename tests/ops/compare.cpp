#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "engine/backward.h"
#include "engine/error.h"
#include "ops/meta_device.h"
#include "tests/device/test_device.h"
#include "tests/ops/gradcheck.h"

namespace loragrad {
namespace {

/// The result of a op_case and then the gradients of its inputs, after one backward.
std::vector<Tensor> run_all(const OpCase& op_case, const Setting& setting) {
  std::vector<Tensor> inputs = make_inputs(op_case, setting, (1u << op_case.inputs.size()) - 1);
  Tensor y = op_case.run(inputs, setting);
  backward(y, make_tensor(setting.device, y.shape(), y.dtype(), setting.normal(y.numel(), 99)));
  std::vector<Tensor> results{y.detach()};
  for (const Tensor& input : inputs) results.push_back(input.grad());
  return results;
}

std::string title(const OpCase& op_case, DType dtype, std::size_t result) {
  std::string what = result == 0 ? "result" : "gradient of input " + std::to_string(result - 1);
  return op_case.name + ", " + std::string(name_of(dtype)) + ", " + what + ": ";
}

}  // namespace

std::string precision_failure(const OpCase& op_case, DType dtype) {
  DevicePtr device = test_device(2);
  std::vector<Tensor> reference = run_all(op_case, {device, DType::f64, 1}),
                      results = run_all(op_case, {device, dtype, 1});
  double tolerance = dtype == DType::bf16 ? op_case.bf16_tolerance : op_case.f32_tolerance;
  for (std::size_t r = 0; r < results.size(); ++r) {
    std::vector<double> wanted = read_values(reference[r]), found = read_values(results[r]);
    double largest = 1;
    for (double value : wanted) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (std::abs(found[i] - wanted[i]) <= tolerance * largest) continue;
      std::ostringstream text;
      text.precision(10);
      text << title(op_case, dtype, r) << "element " << i << " is " << found[i] << ", in f64 " << wanted[i];
      return text.str();
    }
  }
  return "";
}

std::string thread_failure(const OpCase& op_case, DType dtype) {
  std::vector<Tensor> one = run_all(op_case, {test_device(1), dtype, 1}),
                      three = run_all(op_case, {test_device(3), dtype, 1});
  for (std::size_t r = 0; r < one.size(); ++r)
    if (!same_bits(one[r], three[r])) return title(op_case, dtype, r) + "one thread and three threads differ";
  return "";
}

std::string device_failure(const OpCase& op_case, DType dtype) {
  DevicePtr one = test_device(1), other = test_device(1);
  auto run = [&](std::size_t which, const Setting& setting) {
    std::vector<Tensor> inputs = make_inputs(op_case, setting, 0),
                        elsewhere = make_inputs(op_case, {setting.device == one ? other : one, dtype, 1}, 0);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (i == which || which == inputs.size()) inputs[i] = elsewhere[i];
    std::uint64_t before = setting.device->memory().allocations();
    try {
      op_case.run(inputs, setting);
    } catch (const ShapeError& error) {
      return std::string(error.what()).find("on different devices") == std::string::npos;
    }
    // What takes nothing of the setting's has all of its operands on one device.
    return which < inputs.size() || setting.device->memory().allocations() != before;
  };
  // Each input in turn on another device than the rest, and at last the constants alone.
  for (std::size_t which = op_case.inputs.size() > 1 ? 0 : op_case.inputs.size(); which <= op_case.inputs.size();
       ++which)
    if (run(which, {one, dtype, 1}))
      return op_case.name + ": operands on two devices were taken, with another for " +
             (which < op_case.inputs.size() ? "input " + std::to_string(which) : std::string("all inputs"));
  return "";
}

std::string meta_failure(const OpCase& op_case, DType dtype) {
  DevicePtr real = test_device(2), meta = meta_device(real);
  std::vector<Tensor> computed = run_all(op_case, {real, dtype, 1}), counted = run_all(op_case, {meta, dtype, 1});
  for (std::size_t r = 0; r < computed.size(); ++r)
    if (computed[r].shape() != counted[r].shape() || computed[r].dtype() != counted[r].dtype())
      return title(op_case, dtype, r) + "another shape or type on the meta device";
  if (meta->memory().peak() < real->memory().peak())
    return op_case.name + ": the meta device counted " + std::to_string(meta->memory().peak()) +
           " bytes, the processor took " + std::to_string(real->memory().peak());
  return "";
}

}  // namespace loragrad

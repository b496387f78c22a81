#include "tests/ops/op_case.h"

#include <cstring>

#include "engine/random.h"
#include "engine/weight.h"
#include "ops/elementwise.h"

namespace loragrad {

Tensor Setting::compute(const Tensor& x) const { return cast(x, dtype); }

std::vector<double> Setting::normal(std::int64_t count, std::uint64_t stream) const {
  Random random(seed, stream);
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) value = static_cast<float>(bf16(static_cast<float>(random.normal())));
  return values;
}

Tensor Setting::constant(Shape shape, std::uint64_t stream) const {
  return make_tensor(device, shape, dtype, normal(shape.numel(), stream));
}
Tensor Setting::parameter(Shape shape, std::uint64_t stream) const {
  return make_tensor(device, shape, leaf_dtype(), normal(shape.numel(), stream));
}

Tensor Setting::indices(std::int64_t rows, std::int64_t bound, std::uint64_t stream) const {
  Random random(seed, stream);
  std::vector<std::int32_t> values(static_cast<std::size_t>(rows));
  for (auto& value : values) value = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(bound)));
  return integers({rows, 1}, values);
}
Tensor Setting::integers(Shape shape, const std::vector<std::int32_t>& values) const {
  return Tensor::from(device, shape, values.data());
}

Dropout half(const Setting& s, std::int64_t tokens, std::uint64_t key) {
  std::vector<std::int32_t> place;
  for (std::int32_t t = 0; t < tokens; ++t) place.insert(place.end(), {t / 4, t % 4});
  return {0.5, key, s.integers({tokens, 2}, place)};
}

Tensor make_tensor(const DevicePtr& device, Shape shape, DType dtype, const std::vector<double>& values) {
  Tensor wide = Tensor::from(device, shape, values.data());
  return dtype == DType::f64 ? wide : wide.to(dtype);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  HostBytes left = Weight(a).on_host(), right = Weight(b).on_host();
  return left.size == right.size && (left.size == 0 || std::memcmp(left.data, right.data, left.size) == 0);
}

std::vector<double> read_values(const Tensor& tensor) {
  return tensor.dtype() == DType::f64 ? tensor.values<double>() : tensor.to(DType::f64).values<double>();
}

std::vector<Tensor> make_inputs(const OpCase& op_case, const Setting& setting, unsigned mask) {
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < op_case.inputs.size(); ++i) {
    std::vector<double> values = setting.normal(op_case.inputs[i].numel(), 1000 + i);
    for (double& value : values) value += value < 0 ? -op_case.away_from_zero : op_case.away_from_zero;
    inputs.push_back(make_tensor(setting.device, op_case.inputs[i], setting.leaf_dtype(), values));
    if (mask >> i & 1) inputs.back().set_trainable();
  }
  return inputs;
}

}  // namespace loragrad

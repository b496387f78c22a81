#include "lora/merge/plain_factors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/error.h"

namespace loragrad {

void require_plain(const Adapter& adapter, const std::string& op) {
  for (const LoraModule& module : adapter.modules)
    if (module.variant != &plain_lora() && module.variant != &embedding_lora())
      throw InputError(op + ": " + module.name + ": expected A and B alone, found another kind of LoRA");
}

HostMatrix on_host(const Tensor& tensor) {
  std::vector<float> values = tensor.values<float>();
  return {tensor.rows(), tensor.cols(), {values.begin(), values.end()}};
}

Tensor transposed(const Tensor& x) {
  std::vector<float> from = x.values<float>(), out(from.size());
  for (std::int64_t i = 0; i < x.rows(); ++i)
    for (std::int64_t j = 0; j < x.cols(); ++j)
      out[static_cast<std::size_t>(j * x.rows() + i)] = from[static_cast<std::size_t>(i * x.cols() + j)];
  return Tensor::from(x.device(), {x.cols(), x.rows()}, std::move(out));
}

std::vector<float> finite_values(const std::string& name, const Tensor& tensor) {
  std::vector<float> values = tensor.values<float>();
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    throw NumericError(name + ": expected finite numbers to save, found NaN or Inf in f32");
  return values;
}

void require_finite(const std::string& name, double value) {
  if (!std::isfinite(static_cast<float>(value)))
    throw NumericError(fmt::format("{}: expected a number that is finite in f32 to save, found {:g}", name, value));
}

Tensor padded(const DevicePtr& device, const HostMatrix& values, Shape shape, double factor) {
  std::vector<float> out(static_cast<std::size_t>(shape.numel()));
  for (std::int64_t i = 0; i < values.rows; ++i)
    for (std::int64_t j = 0; j < values.cols; ++j)
      out[static_cast<std::size_t>(i * shape.cols + j)] = static_cast<float>(factor * values.at(i, j));
  return Tensor::from(device, shape, std::move(out));
}

}  // namespace loragrad

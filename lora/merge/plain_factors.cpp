#include "lora/merge/plain_factors.h"

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

Tensor padded(const DevicePtr& device, const HostMatrix& values, Shape shape, double factor) {
  std::vector<float> out(static_cast<std::size_t>(shape.numel()));
  for (std::int64_t i = 0; i < values.rows; ++i)
    for (std::int64_t j = 0; j < values.cols; ++j)
      out[static_cast<std::size_t>(i * shape.cols + j)] = static_cast<float>(factor * values.at(i, j));
  return Tensor::from(device, shape, std::move(out));
}

}  // namespace loragrad

#include "lora/rounded_values.h"

#include <cstring>

#include "engine/half.h"

namespace loragrad {

std::vector<std::byte> rounded_values(const Tensor& tensor, DType dtype) {
  std::vector<std::byte> bytes(bytes_of(dtype, tensor.numel()));
  auto fill = [&](const auto& values, auto round) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      auto value = round(values[i]);
      std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
    }
  };
  if (dtype == DType::f64) {
    fill(tensor.to(DType::f64).values<double>(), [](double value) { return value; });
    return bytes;
  }
  std::vector<float> values = (tensor.dtype() == DType::f32 ? tensor : tensor.to(DType::f32)).values<float>();
  if (dtype == DType::bf16)
    fill(values, [](float value) { return bf16(value); });
  else if (dtype == DType::f16)
    fill(values, [](float value) { return to_f16(value); });
  else
    fill(values, [](float value) { return value; });
  return bytes;
}

}  // namespace loragrad

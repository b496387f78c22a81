#include "lora/merge/rounded_values.h"

#include <cmath>
#include <cstring>

#include "engine/error.h"
#include "engine/half.h"

namespace loragrad {

std::vector<std::byte> rounded_values(const std::string& name, const Tensor& tensor, DType dtype) {
  std::vector<std::byte> bytes(bytes_of(dtype, tensor.numel()));
  if (!round_values(tensor, dtype, bytes.data()))
    throw NumericError(name + ": expected finite numbers to save, found NaN or Inf in " + std::string(name_of(dtype)));
  return bytes;
}

bool round_values(const Tensor& tensor, DType dtype, std::byte* out) {
  auto fill = [&]<class T>(const std::vector<T>& values, auto round) {
    bool finite = true;
    for (std::size_t i = 0; i < values.size(); ++i) {
      auto value = round(values[i]);
      finite = finite && std::isfinite(static_cast<T>(value));
      std::memcpy(out + i * sizeof value, &value, sizeof value);
    }
    return finite;
  };
  auto in = [&](DType wanted) { return tensor.dtype() == wanted ? tensor : tensor.to(wanted); };
  if (dtype == DType::f64) return fill(in(DType::f64).values<double>(), [](double value) { return value; });
  std::vector<float> values = in(DType::f32).values<float>();
  if (dtype == DType::bf16) return fill(values, [](float value) { return bf16(value); });
  if (dtype == DType::f16) return fill(values, [](float value) { return to_f16(value); });
  return fill(values, [](float value) { return value; });
}

}  // namespace loragrad

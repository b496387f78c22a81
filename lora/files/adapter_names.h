#pragma once
#include <string>
#include <string_view>

#include "lora/variant.h"

/// What an adapter's folder and its tensors are called: PEFT's names.
namespace loragrad {

constexpr const char* adapter_prefix = "base_model.model.";
constexpr const char* adapter_config_file = "/adapter_config.json";
constexpr const char* adapter_tensor_file = "/adapter_model.safetensors";

/// Less the prefix, as the names below.
inline std::string name_of(const std::string& module, const VariantTensor& tensor) {
  return module + "." + std::string(tensor.name);
}
/// The end of the name of a bias of the base whose module is adapted.
constexpr std::string_view bias_of_adapted = ".base_layer.bias";

}  // namespace loragrad

// adapter_config.json beside tensors that some configs fit, and which of a model's modules it adapts.
#include <cstring>

#include "lora/files/adapter_file.h"
#include "ops/cpu/cpu_device.h"
#include "tests/fuzz/target.h"

namespace {

/// A and B of q_proj, zeros, of rank 2.
std::string tensors() {
  std::string module = "base_model.model.model.layers.0.self_attn.q_proj";
  std::string header = R"({")" + module +
                       R"(.lora_A.weight": {"dtype": "F32", "shape": [2, 6], "data_offsets": [0, 48]},
    ")" + module + R"(.lora_B.weight": {"dtype": "F32", "shape": [4, 2], "data_offsets": [48, 80]}})";
  std::string size(8, '\0');
  std::uint64_t bytes = header.size();
  std::memcpy(size.data(), &bytes, sizeof bytes);
  return size + header + std::string(80, '\0');
}

}  // namespace

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  static const std::string beside = folder.write("adapter_model.safetensors", tensors());
  static const DevicePtr device = cpu_device(1);
  static const std::vector<LinearShape> all{{"model.layers.0.self_attn.q_proj", 6, 4},
                                            {"model.layers.1.mlp.up_proj", 6, 10}};
  folder.write("adapter_config.json", input);
  read_adapter_config(folder.path());
  load_adapter(folder.path(), device, all, false);
}

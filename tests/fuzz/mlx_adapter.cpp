// adapters.safetensors beside mlx-lm's configuration.
#include "lora/files/mlx_adapter.h"
#include "ops/cpu/cpu_device.h"
#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  static const std::string config = folder.write(
      "adapter_config.json",
      R"({"fine_tune_type": "lora", "lora_parameters": {"rank": 2, "scale": 3.5, "dropout": 0.1, "keys": ["mlp.up_proj"]}})");
  static const DevicePtr device = cpu_device(1);
  static const std::vector<LinearShape> all{{"model.layers.0.self_attn.q_proj", 6, 4},
                                            {"model.layers.1.mlp.up_proj", 6, 10}};
  folder.write("adapters.safetensors", input);
  expect(is_mlx_adapter(folder.path()));
  read_mlx_adapter(folder.path(), all, device);
}

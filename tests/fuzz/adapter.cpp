// adapter_model.safetensors beside a config that fits it.
#include "lora/files/adapter_file.h"
#include "ops/cpu/cpu_device.h"
#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  static const std::string config = folder.write(
      "adapter_config.json",
      R"({"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj", "up_proj"], "use_dora": true})");
  folder.write("adapter_model.safetensors", input);
  static const std::vector<LinearShape> all{{"model.layers.0.self_attn.q_proj", 6, 4},
                                            {"model.layers.1.mlp.up_proj", 6, 10}};
  load_adapter(folder.path(), cpu_device(), all, false);
}

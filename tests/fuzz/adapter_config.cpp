// adapter_config.json, and which of a model's modules it adapts.
#include "lora/adapter_file.h"
#include "lora/matching.h"
#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  folder.write("adapter_config.json", input);
  LoraConfig config = read_adapter_config(folder.path());
  static const std::vector<LinearShape> all{{"model.layers.0.self_attn.q_proj", 6, 4},
                                            {"model.layers.1.mlp.up_proj", 6, 10}};
  within(config.limits, select_targets(config.target_modules, all).modules, config.target_modules, all);
}

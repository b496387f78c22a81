// llama.cpp's adapter of a small Llama, and the same written and read again.
#include "models/files/gguf_adapter.h"

#include <cmath>

#include "lora/head_name.h"
#include "lora/merge/one_scale.h"
#include "ops/cpu/cpu_device.h"
#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  static const DevicePtr device = cpu_device(1);
  static const std::vector<LinearShape> all{{"model.layers.0.self_attn.q_proj", 6, 4},
                                            {"model.layers.1.mlp.up_proj", 6, 10},
                                            {.name = "model.embed_tokens", .in = 7, .out = 6, .is_embedding = true},
                                            {.name = head_module, .in = 6, .out = 7, .is_head = true}};
  static const ModelConfig config = [] {
    ModelConfig llama;
    llama.model_type = "llama";
    llama.head_dim = 4;
    return llama;
  }();
  Adapter adapter = read_gguf_adapter(folder.write("adapter.gguf", input), all, config, device);
  for (const LoraModule& module : adapter.modules) expect(std::isfinite(module.scale));
  std::string again = folder.path() + "/again.gguf";
  write_gguf_adapter(with_one_scale(adapter), config, again);
  expect(read_gguf_adapter(again, all, config, device).modules.size() == adapter.modules.size());
}

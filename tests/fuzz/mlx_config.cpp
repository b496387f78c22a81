// mlx-lm's adapter_config.json beside tensors that some of them fit, and the same written and read again.
#include <cmath>

#include "io/safetensors.h"
#include "lora/files/mlx_adapter.h"
#include "ops/cpu/cpu_device.h"
#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder, again;
  static const DevicePtr device = cpu_device(1);
  static const std::vector<LinearShape> all{{"model.layers.0.self_attn.q_proj", 6, 4},
                                            {"model.layers.1.mlp.up_proj", 6, 10}};
  static const std::vector<float> ones(12, 1);
  static const bool beside = [] {
    std::string module = "model.layers.0.self_attn.q_proj";
    write_safetensors(folder.path() + "/adapters.safetensors", {{module + ".lora_a", DType::f32, {6, 2}, ones.data()},
                                                                {module + ".lora_b", DType::f32, {2, 4}, ones.data()}});
    return true;
  }();
  expect(beside);
  folder.write("adapter_config.json", input);
  Adapter adapter = read_mlx_adapter(folder.path(), all, device);
  expect(adapter.modules.size() == 1 && std::isfinite(adapter.modules[0].scale));
  write_mlx_adapter(adapter, all, 2, again.path());
  expect(read_mlx_adapter(again.path(), all, device).modules[0].scale == adapter.modules[0].scale);
}

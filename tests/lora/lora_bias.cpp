#include "io/json.h"
#include "lora/files/adapter_file.h"
#include "tests/lora/all_variants.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace loragrad {

std::vector<VariantCase> lora_bias_cases() {
  return {{"r 2", {.r = 2, .lora_alpha = 5, .target_modules = {}, .lora_bias = true}},
          {"r 3, rsLoRA", {.r = 3, .lora_alpha = 7, .target_modules = {}, .use_rslora = true, .lora_bias = true}}};
}

}  // namespace loragrad

namespace {

constexpr const char* tensor_file = "adapter_model.safetensors";

LoraConfig config_of(TargetModules targets) {
  return {.r = 2, .lora_alpha = 5, .target_modules = std::move(targets), .lora_bias = true};
}

}  // namespace

TEST_CASE("B's bias is scaled with B A") {
  DevicePtr device = test_device(1);
  auto values = [&](Shape shape, std::vector<float> list) { return Tensor::from(device, shape, std::move(list)); };
  LoraModule module{.name = "m",
                    .a = values({1, 2}, {2, 1}),
                    .b = values({2, 1}, {3, -1}),
                    .scale = 0.5,
                    .variant = &lora_bias(),
                    .b_bias = values({1, 2}, {10, 20})};
  LoraMap map{Weight(values({2, 2}, {1, 0, 0, 1})), Weight(values({1, 2}, {100, 200})), {}};
  lora_bias().add_to(map, module, {.weight = 4});
  // h = 2 * 1 + 1 * 2 = 4; y = x + bias + 4 * 0.5 (B h + b)
  Tensor y = lora_linears(values({1, 2}, {1, 2}), {map}).front();
  CHECK(y.values<float>() == std::vector<float>{1 + 100 + 2 * (12 + 10), 2 + 200 + 2 * (-4 + 20)});
}

TEST_CASE("B's bias is a vector in PEFT's file, and counted") {
  Adapter adapter = make_adapter(test_device(1), config_of({"q_proj"}), llama_shapes(1), 1);
  CHECK(adapter.parameters() == 2 * (16 + 16) + 16);
  TempFolder folder;
  save_adapter(adapter, folder.path());
  StoredTensors file = open_safetensors(folder / tensor_file);
  const StoredTensor* bias = file.find("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias");
  REQUIRE(bias);
  CHECK(bias->shape == std::vector<std::int64_t>{16});
  CHECK(read_json_file(folder / "adapter_config.json").find("lora_bias")->dump() == "true");
}

TEST_CASE("an adapter's name is left out of a bias's name too") {
  Adapter adapter = trained_adapter(config_of({"q_proj"}), llama_shapes(1));
  fill_normal(adapter.modules[0].b_bias, 9);
  TempFolder folder;
  save_adapter(adapter, folder.path());
  StoredTensors file = open_safetensors(folder / tensor_file);
  std::vector<TensorToWrite> renamed;
  for (const StoredTensor& t : file.tensors) {
    std::string name = t.name;
    renamed.push_back({name.insert(name.rfind('.'), ".default"), t.dtype(), t.shape, t.bytes});
  }
  write_safetensors(folder / tensor_file, renamed);
  Adapter loaded = load_adapter(folder.path(), test_device(1), llama_shapes(1), false);
  CHECK(loaded.modules[0].b_bias.values<float>() == adapter.modules[0].b_bias.values<float>());
}

TEST_CASE("a bias that the configuration does not name is unexpected") {
  TempFolder folder;
  save_adapter(make_adapter(test_device(1), config_of({"q_proj"}), llama_shapes(1), 1), folder.path());
  Json json = read_json_file(folder / "adapter_config.json");
  json.set("lora_bias", false);
  put(folder / "adapter_config.json", json.dump());
  CHECK(contains(message_of<InputError>([&] { load_adapter(folder.path(), test_device(1), llama_shapes(1), false); }),
                 "unexpected: base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias"));
}

TEST_CASE("lora_bias goes with PEFT's own initial values alone") {
  LoraConfig config = config_of({"q_proj"});
  config.init_lora_weights = LoraInit::gaussian;
  std::string expected = "init_lora_weights: expected true beside lora_bias, found \"gaussian\"";
  CHECK(message_of<UsageError>([&] { make_adapter(test_device(1), config, llama_shapes(1), 1); }) == expected);
  TempFolder folder;
  save_adapter(make_adapter(test_device(1), config_of({"q_proj"}), llama_shapes(1), 1), folder.path());
  Json json = read_json_file(folder / "adapter_config.json");
  json.set("init_lora_weights", "gaussian");
  put(folder / "adapter_config.json", json.dump());
  CHECK(message_of<InputError>([&] { read_adapter_config(folder.path()); }) ==
        folder / "adapter_config.json" + ": " + expected);
}

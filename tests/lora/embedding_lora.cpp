#include "io/json.h"
#include "lora/files/adapter_file.h"
#include "lora/files/adapter_outline.h"
#include "lora/lora_embedding.h"
#include "lora/matching.h"
#include "tests/lora/all_variants.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace loragrad {

std::vector<VariantCase> embedding_lora_cases() {
  return {{"r 2", {.r = 2, .lora_alpha = 5, .target_modules = {}}},
          {"r 3, rsLoRA, gaussian, dropout",
           {.r = 3,
            .lora_alpha = 7,
            .target_modules = {},
            .lora_dropout = 0.3,
            .use_rslora = true,
            .init_lora_weights = LoraInit::gaussian}}};
}

}  // namespace loragrad

namespace {

std::vector<LinearShape> maps_of(const DevicePtr& device) {
  LinearShape tokens{.name = "model.embed_tokens",
                     .in = 4,
                     .out = 3,
                     .layout = WeightLayout::in_out,
                     .weight = Weight(Tensor::zeros(device, {4, 3}, DType::f32), WeightLayout::in_out),
                     .is_embedding = true};
  return {tokens, {.name = "model.q_proj", .in = 3, .out = 3}};
}

LoraConfig config_of(TargetModules targets) { return {.r = 2, .lora_alpha = 5, .target_modules = std::move(targets)}; }

}  // namespace

TEST_CASE("of an embedding A starts at zero and B is normal, under PEFT's names; patterns and all-linear know it") {
  DevicePtr device = test_device(1);
  LoraConfig config = config_of({"embed_tokens", "q_proj"});
  config.rank_pattern = {{"embed_tokens", 3}};
  config.alpha_pattern = {{"embed_tokens", 7.5}};
  Adapter adapter = make_adapter(device, config, maps_of(device), 1);
  const LoraModule& module = adapter.modules.at(0);
  CHECK(module.scale == 2.5);
  CHECK(module.a.values<float>() == std::vector<float>(12, 0.f));
  std::vector<float> b = module.b.values<float>();
  CHECK(std::count_if(b.begin(), b.end(), [](float value) { return std::abs(value) > 0.5f; }) > 0);
  CHECK(adapter.parameters() == 3 * (4 + 3) + 2 * (3 + 3));
  TempFolder folder;
  save_adapter(adapter, folder.path());
  StoredTensors file = open_safetensors(folder / "adapter_model.safetensors");
  const StoredTensor *a = file.find("base_model.model.model.embed_tokens.lora_embedding_A"),
                     *up = file.find("base_model.model.model.embed_tokens.lora_embedding_B");
  REQUIRE(a);
  REQUIRE(up);
  CHECK(a->shape == std::vector<std::int64_t>{3, 4});
  CHECK(up->shape == std::vector<std::int64_t>{3, 3});
  CHECK(read_json_file(folder / "adapter_config.json").find("fan_in_fan_out")->dump() == "false");
  // What is told of the folder alone.
  std::vector<LinearShape> outline = adapter_outline(folder.path());
  REQUIRE(outline.size() == 2);
  CHECK(outline[0].is_embedding);
  CHECK(outline[0].in == 4);
  CHECK(load_adapter(folder.path(), device, outline, false).modules.size() == 2);
  CHECK(select_targets(TargetModules::parse("all-linear"), maps_of(device)).modules.size() == 1);
  CHECK(select_targets(TargetModules::parse("regex:.*"), maps_of(device)).modules.size() == 2);
}

TEST_CASE("an embedding has no dropout, and the names of PEFT's model in files are read too") {
  DevicePtr device = test_device(1);
  Adapter adapter = make_adapter(device, config_of({"embed_tokens"}), maps_of(device), 1);
  const LoraModule& module = adapter.modules.at(0);
  LoraMap map;
  module.variant->add_to(map, module, {.dropout = {0.5, 1, Tensor::zeros(device, {2, 2}, DType::i32)}});
  CHECK_FALSE(map.terms.at(0).dropout.on());
  TempFolder folder;
  save_adapter(adapter, folder.path());
  StoredTensors file = open_safetensors(folder / "adapter_model.safetensors");
  std::vector<TensorToWrite> renamed;
  for (const StoredTensor& t : file.tensors) renamed.push_back({t.name + ".default", t.dtype(), t.shape, t.bytes});
  TempFolder copy;
  put(copy / "adapter_config.json", get(folder / "adapter_config.json"));
  write_safetensors(copy / "adapter_model.safetensors", renamed);
  Adapter loaded = load_adapter(copy.path(), device, maps_of(device), false);
  CHECK(loaded.modules.at(0).b.values<float>() == module.b.values<float>());
}

TEST_CASE("what an adapted embedding does not go with is refused") {
  DevicePtr device = test_device(1);
  LoraConfig config = config_of({"embed_tokens"});
  auto refusal = [&] { return message_of<UsageError>([&] { make_adapter(device, config, maps_of(device), 1); }); };
  config.lora_bias = true;
  CHECK(refusal() == "lora_bias: expected false beside an adapted embedding, found true");
  config.lora_bias = false;
  config.init_lora_weights = LoraInit::olora;
  CHECK(refusal() ==
        "init_lora_weights: expected one that leaves the base as it is beside an adapted embedding, found \"olora\"");
  config.init_lora_weights = LoraInit::standard;
  TempFolder folder;
  save_adapter(make_adapter(device, config, maps_of(device), 1), folder.path());
  std::string path = folder / "adapter_config.json", text = get(path), tied = text;
  tied.replace(tied.find("\"ensure_weight_tying\": false"), 28, "\"ensure_weight_tying\": true");
  put(path, tied);
  CHECK(message_of<InputError>([&] { load_adapter(folder.path(), device, maps_of(device), false); }) ==
        path +
            ": ensure_weight_tying: expected false beside an embedding or a head that is adapted or trained whole, "
            "found true");
  text.replace(text.find("\"lora_bias\": false"), 18, "\"lora_bias\": true");
  put(path, text);
  CHECK(message_of<InputError>([&] { load_adapter(folder.path(), device, maps_of(device), false); }) ==
        path + ": lora_bias: expected false beside an adapted embedding, found true");
}

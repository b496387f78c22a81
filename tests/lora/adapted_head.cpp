#include "io/json.h"
#include "lora/files/adapter_file.h"
#include "lora/files/adapter_outline.h"
#include "lora/matching.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const std::vector<LinearShape> maps{{.name = "model.q_proj", .in = 3, .out = 4},
                                    {.name = "lm_head", .in = 3, .out = 9, .is_head = true}};

LoraConfig config_of(TargetModules targets) { return {.r = 2, .lora_alpha = 5, .target_modules = std::move(targets)}; }

}  // namespace

TEST_CASE("a head is adapted where it is named, and there and back under PEFT's name") {
  DevicePtr device = test_device(1);
  CHECK(select_targets(TargetModules::parse("all-linear"), maps).modules.size() == 1);
  CHECK(select_targets(TargetModules::parse("regex:.*"), maps).modules.size() == 2);
  Adapter adapter = trained_adapter(config_of({"lm_head", "q_proj"}), maps);
  REQUIRE(adapter.modules.size() == 2);
  TempFolder folder;
  save_adapter(adapter, folder.path());
  StoredTensors file = open_safetensors(folder / "adapter_model.safetensors");
  const StoredTensor* b = file.find("base_model.model.lm_head.lora_B.weight");
  REQUIRE(b);
  CHECK(b->shape == std::vector<std::int64_t>{9, 2});
  for (const std::vector<LinearShape>& all : {maps, adapter_outline(folder.path())}) {
    Adapter loaded = load_adapter(folder.path(), device, all, false);
    REQUIRE(loaded.modules.size() == 2);
    for (const LoraModule& module : loaded.modules)
      if (module.name == "lm_head") CHECK(module.b.values<float>() == adapter.modules.back().b.values<float>());
  }
}

TEST_CASE("the base's head that PEFT writes beside its adapter is read where there is no model too") {
  DevicePtr device = test_device(1);
  std::string folder = "tests/models/golden/gemma2-head/adapter";  // PEFT's own
  Adapter loaded =
      load_adapter(folder, device, adapter_outline(folder), false, nullptr, DType::f32, tables_beside({folder}));
  CHECK(loaded.modules.size() == 2);
}

TEST_CASE("beside a text part's modules PEFT is told to leave out all but these and the head") {
  DevicePtr device = test_device(1);
  std::vector<LinearShape> part{{.name = "model.language_model.layers.0.self_attn.q_proj", .in = 3, .out = 4}, maps[1]};
  TempFolder folder;
  for (auto [targets, excluded] :
       {std::pair<TargetModules, std::string>({"q_proj"}, R"("(?!model\\.language_model\\.).*")"),
        {{"lm_head", "q_proj"}, R"("(?!model\\.language_model\\.|lm_head$).*")"},
        {{"lm_head"}, "null"}}) {
    save_adapter(make_adapter(device, config_of(targets), part, 1), folder.path());
    CHECK(read_json_file(folder / "adapter_config.json").find("exclude_modules")->dump() == excluded);
    CHECK(load_adapter(folder.path(), device, part, false).modules.size() == targets.names.size());
  }
}

TEST_CASE("what an adapted head does not go with is refused, in a new adapter and in a file") {
  DevicePtr device = test_device(1);
  LoraConfig config = config_of({"lm_head"});
  auto refusal = [&] { return message_of<UsageError>([&] { make_adapter(device, config, maps, 1); }); };
  config.use_dora = true;
  CHECK(refusal() == "use_dora: expected false beside an adapted head (lm_head), found true");
  config.use_dora = false;
  config.lora_bias = true;
  CHECK(refusal() == "lora_bias: expected false beside an adapted head (lm_head), found true");
  config.lora_bias = false;
  TempFolder folder;
  save_adapter(make_adapter(device, config, maps, 1), folder.path());
  std::string path = folder / "adapter_config.json", text = get(path);
  text.replace(text.find("\"use_dora\": false"), 17, "\"use_dora\": true");
  put(path, text);
  CHECK(message_of<InputError>([&] { load_adapter(folder.path(), device, maps, false); }) ==
        path + ": use_dora: expected false beside an adapted head (lm_head), found true");
}

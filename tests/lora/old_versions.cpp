// Adapters as PEFT's releases wrote them: each has the fields that it knew.
#include "io/json.h"
#include "lora/files/adapter_file.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

using Fields = std::vector<std::pair<const char*, Json>>;

/// What each release added to adapter_config.json, with the value that it wrote.
const std::vector<std::pair<std::string, Fields>>& releases() {
  static const std::vector<std::pair<std::string, Fields>> list{
      {"0.3",
       {{"base_model_name_or_path", "org/base"},
        {"bias", "none"},
        {"fan_in_fan_out", false},
        {"inference_mode", true},
        {"init_lora_weights", true},
        {"layers_pattern", nullptr},
        {"layers_to_transform", nullptr},
        {"lora_alpha", 5},
        {"lora_dropout", 0.05},
        {"modules_to_save", nullptr},
        {"peft_type", "LORA"},
        {"r", 2},
        {"revision", nullptr},
        {"target_modules", Json::Array{"q_proj", "v_proj"}},
        {"task_type", "CAUSAL_LM"}}},
      {"0.4", {{"auto_mapping", nullptr}}},
      {"0.6", {{"alpha_pattern", Json::Object{}}, {"rank_pattern", Json::Object{}}}},
      {"0.7", {{"loftq_config", Json::Object{}}, {"megatron_config", nullptr}, {"megatron_core", "megatron.core"}}},
      {"0.8", {{"use_rslora", false}}},
      {"0.9", {{"use_dora", false}}},
      {"0.10", {{"layer_replication", nullptr}}},
      {"0.14", {{"eva_config", nullptr}, {"exclude_modules", nullptr}, {"lora_bias", false}}},
      {"0.15", {{"corda_config", nullptr}, {"trainable_token_indices", nullptr}}},
      {"0.17", {{"qalora_group_size", 16}, {"target_parameters", nullptr}, {"use_qalora", false}}},
      {"0.18",
       {{"alora_invocation_tokens", nullptr},
        {"arrow_config", nullptr},
        {"ensure_weight_tying", false},
        {"peft_version", "0.18.0"}}},
      {"0.21",
       {{"kasa_config", nullptr},
        {"lora_ga_config", nullptr},
        {"monteclora_config", nullptr},
        {"use_bdlora", nullptr},
        {"velora_config", nullptr}}}};
  return list;
}

}  // namespace

TEST_CASE("adapters of PEFT's releases from 0.3 on load as they were") {
  LoraConfig config{.r = 2, .lora_alpha = 5, .target_modules = {"q_proj", "v_proj"}, .lora_dropout = 0.05};
  Adapter written = trained_adapter(config, llama_shapes(1));
  TempFolder folder;
  save_adapter(written, folder.path());
  Json file(Json::Object{});
  for (const auto& [release, fields] : releases()) {
    for (const auto& [name, value] : fields) file.set(name, value);
    const std::string& version = release;  // clang 14 lets no lambda, such as INFO's, capture a name of a binding
    INFO(version);
    put(folder / "adapter_config.json", file.dump(2, true));
    std::vector<std::string> warnings;
    Adapter loaded = load_adapter(folder.path(), test_device(1), llama_shapes(1), false, &warnings);
    CHECK(warnings.empty());
    CHECK(loaded.base_model == "org/base");
    REQUIRE(loaded.modules.size() == written.modules.size());
    for (std::size_t i = 0; i < loaded.modules.size(); ++i) {
      CHECK(loaded.modules[i].scale == 2.5);
      CHECK(loaded.modules[i].b.values<float>() == written.modules[i].b.values<float>());
    }
    // And it is written as today's.
    TempFolder again;
    save_adapter(loaded, again.path());
    CHECK(get(again / "adapter_model.safetensors") == get(folder / "adapter_model.safetensors"));
  }
}

TEST_CASE("fields of releases before 0.3 are named") {
  TempFolder folder;
  save_adapter(trained_adapter({.r = 2, .lora_alpha = 5, .target_modules = {"q_proj"}}, llama_shapes(1)),
               folder.path());
  put(folder / "adapter_config.json",
      R"({"peft_type": "LORA", "r": 2, "lora_alpha": 5, "target_modules": ["q_proj"], "bias": "none",
          "enable_lora": null, "merge_weights": false})");
  std::vector<std::string> warnings;
  Adapter loaded = load_adapter(folder.path(), test_device(1), llama_shapes(1), false, &warnings);
  CHECK(loaded.modules.size() == 1);
  std::string at = folder / "adapter_config.json: ";
  CHECK(warnings == std::vector<std::string>{at + "enable_lora: unknown field, ignored",
                                             at + "merge_weights: unknown field, ignored"});
}

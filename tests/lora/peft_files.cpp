#include <algorithm>

#include "io/json.h"
#include "lora/files/adapter_file.h"
#include "lora/files/adapter_outline.h"
#include "lora/merge/merge.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// PEFT's own list is in no order.
std::string with_sorted_targets(const std::string& path) {
  Json json = read_json_file(path);
  for (auto& [key, value] : std::get<Json::Object>(json.value())) {
    if (key != "target_modules" || !std::holds_alternative<Json::Array>(value.value())) continue;
    auto& list = std::get<Json::Array>(value.value());
    std::sort(list.begin(), list.end(), [](const Json& x, const Json& y) { return x.dump() < y.dump(); });
  }
  return json.dump(2, true);
}

std::string adapter_folder(const std::string& family) { return shared("golden/families/" + family + "/adapter"); }

}  // namespace

TEST_CASE("what PEFT wrote is read, and written again as PEFT wrote it") {
  for (std::string family :
       {"opt", "gpt2", "llama", "llama-rslora", "llama-regex", "llama-patterns", "llama-layers", "llama-lorabias",
        "llama-dora", "opt-bias", "llama-savehead", "llama-tokens", "qwen2", "mistral"}) {
    INFO(family);
    std::string from = adapter_folder(family);
    if (from.empty()) continue;
    std::vector<LinearShape> all = adapter_outline(from);
    REQUIRE_FALSE(all.empty());
    all.push_back({"another.module", 3, 5});
    std::vector<std::string> warnings;
    Adapter adapter = load_adapter(from, test_device(1), all, false, &warnings);
    CHECK(adapter.modules.size() == all.size() - 1);
    TempFolder folder;
    save_adapter(adapter, folder.path());
    CHECK(get(folder / "adapter_model.safetensors") == get(from + "/adapter_model.safetensors"));
    if (family == "llama-layers") {  // exclude_modules and layers_to_transform are resolved to names
      CHECK(warnings == std::vector<std::string>{from + "/adapter_config.json: target_modules: \"o_proj\" matches no "
                                                        "module of the model"});
      continue;
    }
    CHECK(warnings.empty());
    CHECK(get(folder / "adapter_config.json") == with_sorted_targets(from + "/adapter_config.json"));
  }
}

TEST_CASE("per-module ranks and alphas of PEFT's file") {
  std::string from = adapter_folder("llama-patterns");
  if (from.empty()) return;
  Adapter adapter = load_adapter(from, test_device(1), adapter_outline(from), false);
  for (const LoraModule& module : adapter.modules) {
    INFO(module.name);
    bool q = module.name.ends_with("q_proj"), q1 = module.name == "model.layers.1.self_attn.q_proj";
    double rank = q1 ? 7 : module.name.ends_with("down_proj") ? 2 : 4;
    CHECK(module.scale == (q ? 3 : 10) / rank);
  }
}

TEST_CASE("a fresh adapter's configuration is PEFT's, field by field") {
  std::string from = adapter_folder("llama");
  if (from.empty()) return;
  LoraConfig config;
  config.r = 4;
  config.lora_alpha = 10;
  config.target_modules = {"v_proj", "q_proj"};
  Adapter adapter = make_adapter(test_device(1), config, llama_shapes(), 1);
  adapter.base_model = "model";
  TempFolder folder;
  save_adapter(adapter, folder.path());
  Json ours = read_json_file(folder / "adapter_config.json");
  Json peft = read_json_file(from + "/adapter_config.json");
  for (const auto& [name, value] : std::get<Json::Object>(peft.value())) {
    const std::string& key = name;  // as clang 14 wants it for INFO
    INFO(key);
    REQUIRE(ours.find(key) != nullptr);
    if (key != "target_modules") CHECK(ours.find(key)->dump() == value.dump());
  }
  CHECK(get(folder / "adapter_config.json") == with_sorted_targets(from + "/adapter_config.json"));
}

TEST_CASE("of an adapted embedding all comes back but the base's table, which PEFT writes too") {
  std::string from = adapter_folder("llama-embedlora");
  if (from.empty()) return;
  std::string path = from + "/adapter_model.safetensors";
  std::vector<LinearShape> all = adapter_outline(from);
  StoredTensors theirs = open_safetensors(path);
  const StoredTensor* table = theirs.find("base_model.model.model.embed_tokens.base_layer.weight");
  REQUIRE(table);
  auto base = [&](const std::string& name) { return name == "model.embed_tokens.weight" ? table : nullptr; };
  std::vector<std::string> warnings;
  Adapter adapter = load_adapter(from, test_device(1), all, false, &warnings, DType::f32, base);
  CHECK(warnings.empty());
  TempFolder folder;
  save_adapter(adapter, folder.path());
  CHECK(get(folder / "adapter_config.json") == with_sorted_targets(from + "/adapter_config.json"));
  StoredTensors ours = open_safetensors(folder / "adapter_model.safetensors");
  CHECK(ours.tensors.size() + 1 == theirs.tensors.size());
  for (const StoredTensor& tensor : ours.tensors) {
    INFO(tensor.name);
    const StoredTensor* same = theirs.find(tensor.name);
    REQUIRE(same);
    CHECK(same->shape == tensor.shape);
    CHECK(has_values_of(tensor, *same));
  }
}

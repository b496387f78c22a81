#include "lora/files/adapter_file.h"

#include <filesystem>
#include <limits>

#include "engine/weight.h"
#include "io/json.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

LoraConfig small_config() {
  LoraConfig config;
  config.r = 3;
  config.lora_alpha = 7.5;
  config.lora_dropout = 0.05;
  config.target_modules = {"v_proj", "down_proj"};
  return config;
}

void check_same(const Adapter& a, const Adapter& b) {
  REQUIRE(a.modules.size() == b.modules.size());
  for (std::size_t i = 0; i < a.modules.size(); ++i) {
    CHECK(a.modules[i].name == b.modules[i].name);
    CHECK(a.modules[i].scale == b.modules[i].scale);
    CHECK(a.modules[i].a.values<float>() == b.modules[i].a.values<float>());
    CHECK(a.modules[i].b.values<float>() == b.modules[i].b.values<float>());
  }
}

/// A saved small adapter; `change` edits its configuration, `tensors` its tensors.
std::string refusal(const auto& change, const auto& tensors) {
  TempFolder folder;
  Adapter adapter = trained_adapter(small_config(), llama_shapes());
  save_adapter(adapter, folder.path());
  Json json = read_json_file(folder / "adapter_config.json");
  change(json);
  put(folder / "adapter_config.json", json.dump(2, true));
  std::vector<TensorToWrite> list;
  StoredTensors file = open_safetensors(folder / "adapter_model.safetensors");
  for (const StoredTensor& t : file.tensors) list.push_back({t.name, t.dtype(), t.shape, t.bytes});
  tensors(list);
  write_safetensors(folder / "adapter_model.safetensors", list);
  std::string text =
      message_of<InputError>([&] { load_adapter(folder.path(), test_device(1), llama_shapes(), false); });
  CHECK(contains(text, folder.path()));
  return text;
}
std::string config_refusal(const std::string& field, const Json& value) {
  return refusal([&](Json& json) { json.set(field, value); }, [](auto&) {});
}
std::string tensor_refusal(const auto& tensors) {
  return refusal([](Json&) {}, tensors);
}

const std::string v0 = "base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight";

}  // namespace

TEST_CASE("an adapter is saved and loaded bit for bit") {
  TempFolder folder;
  Adapter adapter = trained_adapter(small_config(), llama_shapes());
  adapter.base_model = "some/base";
  save_adapter(adapter, folder.path());
  CHECK(folder.names() == std::set<std::string>{"adapter_config.json", "adapter_model.safetensors"});
  std::vector<std::string> warnings;
  Adapter loaded = load_adapter(folder.path(), test_device(1), llama_shapes(), true, &warnings);
  CHECK(warnings.empty());
  check_same(adapter, loaded);
  CHECK(loaded.base_model == "some/base");
  CHECK(loaded.config.r == 3);
  CHECK(loaded.config.lora_alpha == 7.5);
  CHECK(loaded.config.lora_dropout == 0.05);
  CHECK(loaded.config.target_modules.names == std::vector<std::string>{"down_proj", "v_proj"});
  CHECK(loaded.modules[0].scale == 2.5);
  CHECK(loaded.modules[0].a.needs_grad());
  CHECK_FALSE(load_adapter(folder.path(), test_device(1), llama_shapes(), false).modules[0].b.needs_grad());
  std::string base;
  CHECK(read_adapter_config(folder.path(), &base).r == 3);
  CHECK(base == "some/base");
  CHECK(load_adapter(folder.path(), test_device(1), llama_shapes(), false, nullptr, DType::f64).modules[0].a.dtype() ==
        DType::f64);
}

TEST_CASE("all-linear is written as full names, a pattern as it is, Conv1D as fan_in_fan_out") {
  TempFolder folder;
  LoraConfig config = small_config();
  config.target_modules = TargetModules::parse("all-linear");
  config.use_rslora = true;
  config.init_lora_weights = LoraInit::gaussian;
  std::vector<LinearShape> all{{"h.0.b", 6, 4, WeightLayout::in_out}, {"h.0.a", 4, 6, WeightLayout::in_out}};
  save_adapter(trained_adapter(config, all), folder.path());
  Json json = read_json_file(folder / "adapter_config.json");
  CHECK(json.find("target_modules")->dump() == R"(["h.0.a", "h.0.b"])");
  CHECK(json.find("fan_in_fan_out")->dump() == "true");
  CHECK(json.find("use_rslora")->dump() == "true");
  CHECK(json.find("init_lora_weights")->dump() == "\"gaussian\"");
  CHECK(json.find("lora_alpha")->dump() == "7.5");
  CHECK(json.find("base_model_name_or_path")->dump() == "null");
  Adapter loaded = load_adapter(folder.path(), test_device(1), all, false);
  CHECK(loaded.modules[0].layout == WeightLayout::in_out);
  CHECK(loaded.modules[0].a.shape() == Shape{3, 6});  // oriented as for a Linear
  CHECK(loaded.modules[0].scale == 7.5 / std::sqrt(3.0));
  CHECK(loaded.config.init_lora_weights == LoraInit::gaussian);
}

TEST_CASE("ranks and alphas of single modules survive, whatever the order of their keys") {
  LoraConfig config = small_config();
  config.target_modules = {"v_proj", "down_proj", "q_proj"};
  config.alpha_pattern = {{"v_proj", 2.5}};
  for (bool sorted : {true, false}) {
    config.rank_pattern = {{"down_proj", 2}, {"layers.1.mlp.down_proj", 5}};
    if (!sorted) std::swap(config.rank_pattern[0], config.rank_pattern[1]);
    Adapter adapter = trained_adapter(config, llama_shapes());
    TempFolder folder;
    save_adapter(adapter, folder.path());
    std::vector<std::string> warnings;
    check_same(adapter, load_adapter(folder.path(), test_device(1), llama_shapes(), false, &warnings));
    CHECK(warnings.empty());
  }
}

TEST_CASE("an adapter with NaN is neither saved nor loaded") {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    TempFolder folder;
    Adapter adapter = trained_adapter(small_config(), llama_shapes());
    change_values<float>(adapter.modules[1].b, [&](auto& values) { values[2] = bad; });
    CHECK(message_of<NumericError>([&] { save_adapter(adapter, folder.path()); }) ==
          adapter.modules[1].name + ".lora_B.weight: expected finite numbers to save, found NaN or Inf in f32");
    CHECK(folder.names().empty());
    std::vector<float> values(3 * 16, 1.f);
    values[5] = bad;
    CHECK(contains(tensor_refusal([&](auto& list) {
                     for (auto& t : list)
                       if (t.name == v0) t.data = values.data();
                   }),
                   v0 + ": expected finite numbers, found NaN or Inf"));
  }
}

TEST_CASE("a trained parameter that is too large for the base's type is not saved") {
  Adapter adapter = trained_adapter(small_config(), llama_shapes());
  adapter.config.modules_to_save = {"model.norm"};
  std::vector<float> values{1, 7e4f, 2};
  adapter.parameters_of_base.push_back({"model.norm.weight", Tensor::from(test_device(1), {1, 3}, values.data())});
  for (DType stored : {DType::f32, DType::bf16, DType::f16}) {
    TempFolder folder;
    adapter.parameters_of_base[0].stored = stored;
    if (stored != DType::f16) {
      save_adapter(adapter, folder.path());
      continue;
    }
    CHECK(message_of<NumericError>([&] { save_adapter(adapter, folder.path()); }) ==
          "model.norm.weight: expected finite numbers to save, found NaN or Inf in f16");
    CHECK(folder.names().empty());
  }
}

TEST_CASE("missing, unexpected and mis-shaped tensors are one message") {
  std::vector<float> values(1000);
  std::string text = tensor_refusal([&](auto& list) {
    for (auto& t : list) {
      if (t.name == v0) t.name += "x";
      if (t.name.find("0.mlp.down_proj.lora_B") != std::string::npos) t.shape = {3, 16};
    }
    list.push_back({"stray", DType::f32, {1}, values.data()});
  });
  CHECK(contains(text, "missing: " + v0 + "; unexpected: " + v0 + "x, stray; of another shape: "));
  CHECK(contains(text, "0.mlp.down_proj.lora_B.weight (expected [16, 3], found [3, 16])"));
  // Another rank in the configuration does not fit any tensor.
  text = config_refusal("r", 4);
  CHECK(contains(text, v0 + " (expected [4, 16], found [3, 16])"));
  CHECK(
      contains(config_refusal("target_modules", Json::Array{"v_proj"}), "unexpected: base_model.model.model.layers.0"));
  CHECK(
      contains(config_refusal("target_modules", Json::Array{"v_proj", "down_proj", "q_proj"}), "missing: base_model"));
  CHECK(contains(config_refusal("target_modules", Json::Array{"c_attn"}),
                 "target_modules: expected modules of this model, found \"c_attn\", which gives none"));
}

TEST_CASE("fields that change the result and are not supported are refused by name") {
  Json::Object some{{"a", 1}};
  std::vector<std::pair<std::string, Json>> fields{{"use_dora", "yes"},
                                                   {"bias", "some"},
                                                   {"modules_to_save", "x"},
                                                   {"use_qalora", true},
                                                   {"use_bdlora", some},
                                                   {"trainable_token_indices", Json::Array{"x"}},
                                                   {"kasa_config", some},
                                                   {"arrow_config", some},
                                                   {"corda_config", some},
                                                   {"layer_replication", Json::Array{Json::Array{0, 1}}},
                                                   {"lora_ga_config", some},
                                                   {"velora_config", some},
                                                   {"monteclora_config", some},
                                                   {"peft_type", "LOHA"},
                                                   {"target_parameters", Json::Array{"x"}},
                                                   {"alora_invocation_tokens", Json::Array{1}},
                                                   {"init_lora_weights", "pissa_niter_4"},
                                                   {"init_lora_weights", "olora"},
                                                   {"r", 0},
                                                   {"r", 4.5},
                                                   {"lora_alpha", "8"},
                                                   {"lora_dropout", 1.0},
                                                   {"target_modules", 3},
                                                   {"target_modules", Json::Array{}},
                                                   {"target_modules", "("},
                                                   {"target_modules", ".*\\K_proj"},
                                                   {"exclude_modules", "(?|a)"},
                                                   {"layers_pattern", "("},
                                                   {"use_rslora", "yes"},
                                                   {"rank_pattern", Json::Object{{"v_proj", 0}}},
                                                   {"alpha_pattern", Json::Object{{"(", 1}}}};
  for (const auto& [name, value] : fields) {
    const std::string& field = name;  // clang 14 lets no lambda, such as INFO's, capture a name of a binding
    INFO(field);
    CHECK(contains(config_refusal(field, value), "adapter_config.json: " + field));
  }
}

TEST_CASE("fields without effect are named") {
  TempFolder folder;
  save_adapter(trained_adapter(small_config(), llama_shapes()), folder.path());
  Json json = read_json_file(folder / "adapter_config.json");
  json.set("brand_new", nullptr);
  json.set("task_type", nullptr);
  json.set("modules_to_save", Json::Array{});
  json.set("loftq_config", Json::Object{{"bits", 4}});
  json.set("init_lora_weights", "eva");
  json.set("target_modules", Json::Array{"v_proj", "down_proj", "nowhere"});
  put(folder / "adapter_config.json", json.dump());
  std::vector<std::string> warnings;
  load_adapter(folder.path(), test_device(1), llama_shapes(), false, &warnings);
  std::string at = folder / "adapter_config.json: ";
  CHECK(std::set<std::string>(warnings.begin(), warnings.end()) ==
        std::set<std::string>{at + "brand_new: unknown field, ignored",
                              at + "loftq_config: has no effect on a saved adapter, ignored",
                              at + "init_lora_weights: has no effect on a saved adapter, ignored",
                              at + "target_modules: \"nowhere\" matches no module of the model"});
  put(folder / "adapter_config.json", R"({"peft_type": "LORA", "target_modules": ["v_proj", "down_proj"], "r": 3})");
  CHECK(load_adapter(folder.path(), test_device(1), llama_shapes(), false).config.lora_alpha == 8);
}

TEST_CASE("excluded modules and chosen layers come back as names") {
  TempFolder folder;
  LoraConfig config = small_config();
  config.target_modules = {"layers.1.self_attn.q_proj", "layers.1.mlp.down_proj"};
  Adapter adapter = trained_adapter(config, llama_shapes());
  save_adapter(adapter, folder.path());
  Json json = read_json_file(folder / "adapter_config.json");
  json.set("target_modules", Json::Array{"o_proj", "down_proj", "q_proj"});
  json.set("exclude_modules", Json::Array{"o_proj"});
  json.set("layers_to_transform", Json::Array{1});
  put(folder / "adapter_config.json", json.dump());
  Adapter loaded = load_adapter(folder.path(), test_device(1), llama_shapes(), false);
  check_same(adapter, loaded);
  CHECK(loaded.config.target_modules.names == names_of(match_targets(config.target_modules, llama_shapes())));
  // The config chooses, not what happens to be in the file.
  auto refusal = [&] {
    put(folder / "adapter_config.json", json.dump());
    return message_of<InputError>([&] { load_adapter(folder.path(), test_device(1), llama_shapes(), false); });
  };
  json.set("layers_to_transform", Json::Array{0, 1});
  CHECK(contains(refusal(), "missing: base_model.model.model.layers.0.self_attn.q_proj.lora_A"));
  json.set("layers_to_transform", 0);
  CHECK(contains(refusal(), "unexpected: base_model.model.model.layers.1.mlp.down_proj.lora_A"));
  json.set("layers_to_transform", 1);
  json.set("layers_pattern", "layers");
  put(folder / "adapter_config.json", json.dump());
  check_same(adapter, load_adapter(folder.path(), test_device(1), llama_shapes(), false));
  json.set("exclude_modules", ".*q_proj");
  put(folder / "adapter_config.json", json.dump());
  CHECK(contains(message_of<InputError>([&] { load_adapter(folder.path(), test_device(1), llama_shapes(), false); }),
                 "unexpected: base_model.model.model.layers.1.self_attn.q_proj.lora_A"));
}

TEST_CASE("f16, bf16 and f64 tensors are read as f32") {
  TempFolder folder;
  LoraConfig config = small_config();
  config.r = 1;
  config.target_modules = {"m"};
  save_adapter(trained_adapter(config, {{"m", 2, 2}}), folder.path());
  std::uint16_t half[] = {0x3e00, 0xc000}, brain[] = {0x3fc0, 0xc000};
  double wide[] = {1.5, -2};
  std::vector<std::pair<DType, const void*>> stored{{DType::f16, half}, {DType::bf16, brain}, {DType::f64, wide}};
  for (auto [dtype, data] : stored) {
    write_safetensors(folder / "adapter_model.safetensors",
                      {{"base_model.model.m.lora_A.weight", dtype, {1, 2}, data},
                       {"base_model.model.m.lora_B.weight", dtype, {2, 1}, data}});
    Adapter loaded = load_adapter(folder.path(), test_device(1), {{"m", 2, 2}}, true);
    CHECK(loaded.modules[0].a.values<float>() == std::vector<float>{1.5f, -2.f});
    CHECK(loaded.modules[0].b.values<float>() == std::vector<float>{1.5f, -2.f});
  }
}

#include "lora/files/adapter_tensors.h"

#include <set>

#include "engine/error.h"
#include "engine/half.h"
#include "lora/files/adapter_file.h"
#include "lora/layers.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

constexpr const char* file = "adapter_model.safetensors";

/// A folder of an adapter for two modules, its tensors under other names.
struct Renamed {
  TempFolder folder;
  explicit Renamed(const std::function<std::string(std::string)>& rename, std::vector<TensorToWrite> more = {}) {
    LoraConfig config;
    config.r = 2;
    config.lora_alpha = 7;
    config.target_modules = {"v_proj"};
    save_adapter(trained_adapter(config, llama_shapes()), folder.path());
    StoredTensors saved = open_safetensors(folder / file);
    for (const StoredTensor& t : saved.tensors) more.push_back({rename(t.name), t.dtype(), t.shape, t.bytes});
    write_safetensors(folder / file, more);
  }
  Adapter load(const FindBaseTensor& base = {}) const {
    return load_adapter(folder.path(), test_device(1), llama_shapes(), false, nullptr, DType::f32, base);
  }
};

std::string with(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}
std::string as_it_is(std::string name) { return name; }

StoredTensor tensor_of(DType dtype, std::vector<std::int64_t> shape, const void* data, std::size_t bytes) {
  const char* name = dtype == DType::f64 ? "F64" : dtype == DType::bf16 ? "BF16" : dtype == DType::f16 ? "F16" : "F32";
  return {"t", name, std::move(shape), static_cast<const std::byte*>(data), bytes, nullptr};
}

}  // namespace

TEST_CASE("an adapter's name is left out of its tensors' names") {
  Adapter expected = Renamed(as_it_is).load();
  for (const char* name : {"default", "a-b", "0"}) {
    Adapter found =
        Renamed([&](const std::string& n) { return with(n, ".weight", std::string(".") + name + ".weight"); }).load();
    REQUIRE(found.modules.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(found.modules[i].a.values<float>() == expected.modules[i].a.values<float>());
      CHECK(found.modules[i].b.values<float>() == expected.modules[i].b.values<float>());
    }
  }
  Renamed two(
      [](const std::string& n) { return with(n, ".weight", n.find("_A") < n.size() ? ".x.weight" : ".y.weight"); });
  CHECK(contains(message_of<InputError>([&] { two.load(); }), "expected one adapter, found several: x, y"));
  Renamed deep([](const std::string& n) { return with(n, ".weight", ".x.y.weight"); });
  CHECK(contains(message_of<InputError>([&] { deep.load(); }), "v_proj.lora_A.x.y.weight"));
  Renamed bare([](const std::string& n) { return with(n, "base_model.model.", ""); });
  CHECK(contains(message_of<InputError>([&] { bare.load(); }), "unexpected: model.layers.0"));
}

TEST_CASE("modules that have an A") {
  Renamed renamed(as_it_is);
  CHECK(AdapterTensors(renamed.folder.path()).modules() ==
        std::vector<std::string>{"model.layers.0.self_attn.v_proj", "model.layers.1.self_attn.v_proj"});
}

TEST_CASE("a base's parameters beside the adapter are read where they are the base's") {
  float values[] = {1, -2.5f, 0.1f, 3}, others[] = {1, -2.5f, 0.1f, 4};
  StoredTensor base = tensor_of(DType::f32, {2, 2}, values, sizeof values);
  auto find = [&](const std::string& name) { return name == "model.embed_tokens.weight" ? &base : nullptr; };
  for (const char* name : {"model.embed_tokens.weight", "model.embed_tokens.base_layer.weight"}) {
    INFO(name);
    std::string stored = std::string("base_model.model.") + name;
    Renamed same(as_it_is, {{stored, DType::f32, {2, 2}, values}});
    CHECK(same.load(find).modules.size() == 2);
    CHECK(contains(message_of<InputError>([&] { same.load(); }), "unexpected: " + stored));
    Renamed trained(as_it_is, {{stored, DType::f32, {2, 2}, others}});
    CHECK(contains(message_of<InputError>([&] { trained.load(find); }), stored + ": expected the base's own values ("));
    Renamed resized(as_it_is, {{stored, DType::f32, {1, 2}, values}});
    CHECK(contains(message_of<InputError>([&] { resized.load(find); }), stored + ": expected the base's own [2, 2] ("));
  }
}

TEST_CASE("values are a base's when they are its values rounded, in any pair of types") {
  float f[] = {1, -2.5f, 0.1f};
  double d[] = {1, -2.5, 0.1};
  bf16 b[] = {bf16(1.f), bf16(-2.5f), bf16(0.1f)};
  f16 h[] = {to_f16(1.f), to_f16(-2.5f), to_f16(0.1f)};
  StoredTensor f32 = tensor_of(DType::f32, {3}, f, sizeof f), f64 = tensor_of(DType::f64, {3}, d, sizeof d),
               brain = tensor_of(DType::bf16, {3}, b, sizeof b), half = tensor_of(DType::f16, {3}, h, sizeof h);
  for (const StoredTensor* base : {&f32, &f64})
    for (const StoredTensor* stored : {&f32, &brain, &half}) CHECK(has_values_of(*stored, *base));
  CHECK(has_values_of(f64, f64));
  CHECK_FALSE(has_values_of(f64, f32));  // 0.1 has more digits than the base
  CHECK_FALSE(has_values_of(f32, brain));
  CHECK_FALSE(has_values_of(f32, half));
  CHECK_FALSE(has_values_of(half, brain));
  float widened[] = {1, -2.5f, static_cast<float>(b[2])};
  CHECK(has_values_of(tensor_of(DType::f32, {3}, widened, sizeof widened), brain));
  widened[2] = 0.1f;
  CHECK_FALSE(has_values_of(tensor_of(DType::f32, {3}, widened, sizeof widened), brain));
  CHECK_FALSE(has_values_of(tensor_of(DType::f32, {3, 1}, f, sizeof f), f32));
}

TEST_CASE("layers are PEFT's: the first number behind two words, or behind what a pattern matches") {
  auto chosen = [](std::vector<std::int64_t> layers, const std::vector<std::string>& patterns, const char* name) {
    return LayerChoice(std::move(layers), patterns).has(name);
  };
  CHECK(chosen({1}, {}, "model.layers.1.mlp.up_proj"));
  CHECK_FALSE(chosen({0, 11}, {}, "model.layers.1.mlp.up_proj"));
  CHECK(chosen({1}, {}, "model.layers.1.experts.7.up_proj"));
  CHECK_FALSE(chosen({7}, {}, "model.layers.1.experts.7.up_proj"));
  CHECK(chosen({7}, {"experts"}, "model.layers.1.experts.7.up_proj"));
  CHECK(chosen({1}, {"nothing", "layers"}, "model.layers.1.experts.7.up_proj"));
  CHECK(chosen({3}, {"h"}, "h.3.attn"));
  CHECK_FALSE(chosen({3}, {}, "h.3.attn"));  // one word alone
  CHECK_FALSE(chosen({3}, {"h"}, "blah.3.attn"));
  CHECK(chosen({3}, {".*h"}, "blah.3.attn"));  // patterns are expressions
  CHECK(chosen({3}, {"(?:h|layers)"}, "m.layers.3.attn"));
  CHECK_FALSE(chosen({1}, {}, "lm_head"));
  CHECK_FALSE(chosen({1}, {}, "model.layers.1"));
  CHECK(contains(message_of<UsageError>([&] { chosen({1}, {"("}, "a"); }), "layers_pattern: expected a regular"));
}

#include "models/files/gguf_adapter.h"

#include <cmath>
#include <limits>

#include "io/gguf.h"
#include "lora/merge/one_scale.h"
#include "tests/device/test_device.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();

ModelConfig qwen() {
  ModelConfig config;
  config.model_type = "qwen2";
  config.head_dim = 4;
  return config;
}

std::vector<LinearShape> maps() {
  return {{"model.layers.0.self_attn.q_proj", 6, 4}, {"model.layers.0.mlp.down_proj", 10, 6}};
}

Adapter adapter_of(double alpha) {
  return make_adapter(test_device(1), {.r = 2, .lora_alpha = alpha, .target_modules = {"q_proj"}}, maps(), 3);
}

}  // namespace

TEST_CASE("an alpha of a GGUF adapter that is not finite") {
  TempFolder folder;
  std::string path = folder / "a.gguf";
  auto with = [&](double alpha) {
    write_gguf(path,
               {{"general.type", "adapter"},
                {"adapter.type", "lora"},
                {"general.architecture", "qwen2"},
                {"adapter.lora.alpha", alpha}},
               {{"blk.0.attn_q.weight.lora_a", {1, 6}, std::vector<float>(6, 1)},
                {"blk.0.attn_q.weight.lora_b", {4, 1}, std::vector<float>(4, 1)}});
  };
  auto read = [&] { return read_gguf_adapter(path, maps(), qwen(), test_device(1)); };
  with(3);
  CHECK(read().modules.at(0).scale == 3);
  for (auto [alpha, text] : {std::pair{std::nan(""), "NaN"}, {double(inf), "Inf"}, {-double(inf), "-Inf"}}) {
    with(alpha);
    CHECK(message_of<InputError>(read) ==
          path + ": adapter.lora.alpha: expected a finite number, found " + std::string(text));
  }
}

TEST_CASE("no GGUF adapter of NaN, Inf and what is one of them in f32") {
  TempFolder folder;
  std::string path = folder / "a.gguf";
  auto message = [&](const Adapter& adapter) {
    return message_of<NumericError>([&] { write_gguf_adapter(adapter, qwen(), path); });
  };
  for (double alpha : {1e60, -1e60})
    CHECK(contains(message(adapter_of(alpha)), "adapter.lora.alpha: expected a number that is finite in f32 to save"));
  // Which llama.cpp would take for a scale of one.
  CHECK(message(adapter_of(1e-60)) ==
        "adapter.lora.alpha: expected a number that is not 0 in f32 to save, found 1e-60");

  for (float value : {NAN, inf}) {
    Adapter adapter = adapter_of(3);
    change_values<float>(adapter.modules[0].b, [&](auto& values) { values.back() = value; });
    CHECK(message(adapter) == "blk.0.attn_q.weight.lora_b: expected finite numbers to save, found NaN or Inf in f32");
    adapter = adapter_of(3);
    change_values<float>(adapter.modules[0].a, [&](auto& values) { values.front() = value; });
    CHECK(contains(message(adapter), "blk.0.attn_q.weight.lora_a: expected finite numbers"));
  }
  // Scales that differ are put into B.
  Adapter two = make_adapter(
      test_device(1),
      {.r = 2, .lora_alpha = 1e60, .target_modules = {"q_proj", "down_proj"}, .alpha_pattern = {{"down_proj", 7}}},
      maps(), 3);
  for (LoraModule& module : two.modules)
    change_values<float>(module.b, [](auto& values) { std::fill(values.begin(), values.end(), 0.01F); });
  CHECK(contains(message(with_one_scale(two)), "blk.0.attn_q.weight.lora_b: expected finite numbers"));
  CHECK(folder.names().empty());

  write_gguf_adapter(adapter_of(3), qwen(), path);
  CHECK(read_gguf_adapter(path, maps(), qwen(), test_device(1)).modules.at(0).scale == 1.5);
}

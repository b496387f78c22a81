#include "lora/files/mlx_adapter.h"

#include <cmath>
#include <limits>

#include "lora/merge/one_scale.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

constexpr std::int64_t layers = 2;

Adapter adapter_of(double alpha, std::vector<std::pair<std::string, double>> alphas = {}) {
  return trained_adapter(
      {.r = 2, .lora_alpha = alpha, .target_modules = {"q_proj", "up_proj"}, .alpha_pattern = std::move(alphas)},
      llama_shapes(layers));
}

}  // namespace

TEST_CASE("no adapter of mlx-lm's of NaN, Inf and what is one of them in f32") {
  TempFolder folder;
  auto message = [&](const Adapter& adapter) {
    return message_of<NumericError>([&] { write_mlx_adapter(adapter, llama_shapes(layers), layers, folder.path()); });
  };
  CHECK(message(adapter_of(1e60)) ==
        "lora_parameters.scale: expected a number that is finite in f32 to save, found 5e+59");
  for (float value : {NAN, std::numeric_limits<float>::infinity()}) {
    Adapter adapter = adapter_of(3);
    change_values<float>(adapter.modules.back().b, [&](auto& values) { values.back() = value; });
    CHECK(message(adapter) ==
          "model.layers.1.mlp.up_proj.lora_b: expected finite numbers to save, found NaN or Inf in f32");
    adapter = adapter_of(3);
    change_values<float>(adapter.modules.front().a, [&](auto& values) { values.front() = value; });
    CHECK(contains(message(adapter), "model.layers.0.self_attn.q_proj.lora_a: expected finite numbers"));
  }
  // Scales that differ are put into B.
  CHECK(contains(message(with_one_scale(adapter_of(1e60, {{"up_proj", 7}}))),
                 "model.layers.0.self_attn.q_proj.lora_b: expected finite numbers"));
  CHECK(folder.names().empty());
}

TEST_CASE("the largest scale that is written to mlx-lm's folder is read") {
  TempFolder folder;
  double largest = std::numeric_limits<float>::max();
  for (double scale : {1.5, 1e35, largest, -largest}) {
    CAPTURE(scale);
    write_mlx_adapter(adapter_of(2 * scale), llama_shapes(layers), layers, folder.path());
    CHECK(read_mlx_adapter(folder.path(), llama_shapes(layers), test_device(1)).modules.at(0).scale == scale);
  }
}

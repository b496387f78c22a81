#include "lora/loraplus.h"

#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("LoRA+: B and vectors have the ratio, A has none") {
  LoraConfig config{.r = 1, .lora_alpha = 5, .target_modules = {"q_proj", "down_proj"}, .lora_bias = true};
  Adapter adapter = make_adapter(test_device(1), config, llama_shapes(1), 1);
  CHECK(loraplus_ratios(adapter, 16, 2e-4) == std::vector<double>{1, 16, 16, 1, 16, 16});
  CHECK(loraplus_ratios(adapter, 1, 2e-4) == std::vector<double>(6, 1));
}

TEST_CASE("LoRA+: A and B of an embedding have a rate of 1e-6, its magnitude has the ratio, trained rows have none") {
  DevicePtr device = test_device(1);
  LoraConfig config{.r = 1, .lora_alpha = 5, .target_modules = {"tokens"}, .use_dora = true};
  LinearShape map{.name = "m.tokens", .in = 3, .out = 2, .layout = WeightLayout::in_out, .is_embedding = true};
  map.weight = Weight(Tensor::zeros(device, {3, 2}, DType::f32), WeightLayout::in_out);
  Adapter adapter = make_adapter(device, config, {map}, 1);
  adapter.rows_of_base.push_back({"m.others", {1}, Tensor::zeros(device, {1, 2}, DType::f32)});
  CHECK(loraplus_ratios(adapter, 16, 2e-4) == std::vector<double>{1e-6 / 2e-4, 1e-6 / 2e-4, 16, 1});
  CHECK(loraplus_ratios(adapter, 1, 2e-4) == std::vector<double>(4, 1));
  CHECK(loraplus_ratios(adapter, 16, 0) == std::vector<double>{1, 1, 16, 1});
}

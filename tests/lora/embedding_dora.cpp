#include "lora/lora_embedding.h"
#include "tests/lora/all_variants.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace loragrad {
namespace {

/// Lengths of columns, which backward takes for constants: away from 0.
void hold_lengths(LoraModule& module, const Setting& s) {
  std::vector<double> values = s.normal(module.b.rows(), 9);
  for (double& value : values) value = 1 + std::abs(value);
  module.norm = make_tensor(s.device, {1, module.b.rows()}, s.leaf_dtype(), values);
}

}  // namespace

std::vector<VariantCase> embedding_dora_cases() {
  return {{"r 2", {.r = 2, .lora_alpha = 5, .target_modules = {}, .use_dora = true}, hold_lengths},
          {"r 4, rsLoRA",
           {.r = 4, .lora_alpha = 7, .target_modules = {}, .use_rslora = true, .use_dora = true},
           hold_lengths}};
}

}  // namespace loragrad

TEST_CASE("a magnitude scales the columns of E + s (B A)^T, times the model's own scale") {
  DevicePtr device = test_device(1);
  auto values = [&](Shape shape, std::vector<float> list) { return Tensor::from(device, shape, std::move(list)); };
  LoraModule module{.name = "m",
                    .a = values({1, 2}, {1, 2}),
                    .b = values({2, 1}, {2, 0}),
                    .scale = 0.5,
                    .variant = &embedding_dora(),
                    .magnitude = values({1, 2}, {10, 26})};
  LoraMap map{Weight(values({2, 2}, {2, 5, 2, 12}), WeightLayout::in_out), {}, {}};
  embedding_dora().add_to(map, module, {});
  // E + 0.5 (B A)^T = [[3, 5], [4, 12]], of columns as long as 5 and 13: twice that, times 3.
  Tensor ids = Tensor::from(device, {2, 1}, std::vector<std::int32_t>{1, 0});
  CHECK(lora_embedding(ids, map, DType::f32, 3).values<float>() == std::vector<float>{24, 72, 18, 30});
}

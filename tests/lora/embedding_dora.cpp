#include "lora/lora_embedding.h"
#include "tests/lora/magnitudes.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace loragrad {

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
  LoraModule module = small_module(device, embedding_dora());
  LoraMap map{Weight(values({2, 2}, {2, 5, 2, 12}), WeightLayout::in_out), {}, {}};
  embedding_dora().add_to(map, module, {});
  // E + 0.5 (B A)^T = [[3, 5], [4, 12]], of columns as long as 5 and 13: twice that, times 3.
  Tensor ids = Tensor::from(device, {2, 1}, std::vector<std::int32_t>{1, 0});
  CHECK(lora_embedding(ids, map, DType::f32, 3).values<float>() == std::vector<float>{24, 72, 18, 30});
}

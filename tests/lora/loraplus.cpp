#include "lora/loraplus.h"

#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("LoRA+: B and vectors have the ratio, A has none") {
  LoraConfig config{.r = 1, .lora_alpha = 5, .target_modules = {"q_proj", "down_proj"}, .lora_bias = true};
  Adapter adapter = make_adapter(test_device(1), config, llama_shapes(1), 1);
  CHECK(loraplus_ratios(adapter, 16) == std::vector<double>{1, 16, 16, 1, 16, 16});
}

#include "tests/lora/all_variants.h"

namespace loragrad {

std::vector<VariantCase> plain_lora_cases() {
  return {
      {"r 2", {.r = 2, .lora_alpha = 5, .target_modules = {}}},
      {"r 3, rsLoRA, gaussian",
       {.r = 3, .lora_alpha = 7, .target_modules = {}, .use_rslora = true, .init_lora_weights = LoraInit::gaussian}}};
}

}  // namespace loragrad

#include "lora/variants.h"

namespace loragrad {

const LoraVariant& variant_of(const LoraConfig& config) { return config.lora_bias ? lora_bias() : plain_lora(); }

std::vector<const LoraVariant*> all_variants() { return {&plain_lora(), &lora_bias()}; }

}  // namespace loragrad

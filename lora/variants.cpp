#include "lora/variants.h"

#include "engine/error.h"
#include "lora/variant.h"

namespace loragrad {

const LoraVariant& variant_of(const LoraConfig& config) {
  if (config.use_dora) return dora();
  return config.lora_bias ? lora_bias() : plain_lora();
}

std::vector<const LoraVariant*> all_variants() { return {&plain_lora(), &lora_bias(), &dora()}; }

const Weight& ModuleSpec::weight() const {
  if (map.weight.empty()) throw UsageError(map.name + ": expected the base's weight, which the adapter starts from");
  return map.weight;
}

}  // namespace loragrad

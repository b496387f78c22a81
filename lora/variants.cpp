#include "lora/variants.h"

#include <string>

#include "engine/error.h"
#include "lora/variant.h"

namespace loragrad {

const LoraVariant& variant_of(const LoraConfig& config) {
  if (config.use_dora) return dora();
  return config.lora_bias ? lora_bias() : plain_lora();
}

const LoraVariant& variant_of(const LoraConfig& config, const LinearShape& map) {
  if (map.is_head && (config.use_dora || config.lora_bias))
    throw UsageError(std::string(config.use_dora ? "use_dora" : "lora_bias") +
                     ": expected false beside an adapted head (" + map.name + "), found true");
  if (map.is_head && changes_base(config.init_lora_weights))
    throw UsageError("init_lora_weights: expected one that leaves the base as it is beside an adapted head (" +
                     map.name + "), found \"" + std::string(name_of(config.init_lora_weights)) + '"');
  if (!map.is_embedding) return variant_of(config);
  const LoraVariant& variant = config.use_dora ? embedding_dora() : embedding_lora();
  variant.check(config);  // that it has an embedding a configuration alone does not say
  return variant;
}

std::vector<const LoraVariant*> all_variants() {
  return {&plain_lora(), &lora_bias(), &dora(), &embedding_lora(), &embedding_dora()};
}

const Weight& ModuleSpec::weight() const {
  if (map.weight.empty()) throw UsageError(map.name + ": expected the base's weight, which the adapter starts from");
  return map.weight;
}

}  // namespace loragrad

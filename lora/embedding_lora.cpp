#include <string>

#include "engine/error.h"
#include "lora/initial_factors.h"
#include "lora/plain_lora.h"

namespace loragrad {
namespace {

/// B does not start at zero, A does: it is A that has the first gradient.
constexpr VariantTensor factors[] = {
    {.name = "lora_embedding_A",
     .place = &LoraModule::a,
     .shape =
         [](const ModuleSpec& spec) {
           return Shape{spec.rank, spec.map.in};
         },
     .proves = true},
    {.name = "lora_embedding_B",
     .place = &LoraModule::b,
     .shape =
         [](const ModuleSpec& spec) {
           return Shape{spec.map.out, spec.rank};
         }},
};

}  // namespace

void EmbeddingLora::check(const LoraConfig& config) const {
  if (config.lora_bias) throw UsageError("lora_bias: expected false beside an adapted embedding, found true");
  if (changes_base(config.init_lora_weights))
    throw UsageError(
        "init_lora_weights: expected one that leaves the base as it is beside an adapted embedding, found \"" +
        std::string(name_of(config.init_lora_weights)) + '"');
}

std::span<const VariantTensor> EmbeddingLora::tensors() const { return factors; }

void EmbeddingLora::start(LoraModule& module, const ModuleSpec& spec, const InitialDraw& draw) const {
  InitialFactors initial = embedding_factors(spec, draw);
  module.a = initial.a;
  module.b = initial.b;
}

void EmbeddingLora::add_to(LoraMap& map, const LoraModule& module, const ModuleUse& use) const {
  ModuleUse without_dropout = use;
  without_dropout.dropout = {};
  PlainLora::add_to(map, module, without_dropout);
}

const LoraVariant& embedding_lora() {
  static const EmbeddingLora variant;
  return variant;
}

}  // namespace loragrad

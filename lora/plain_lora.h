#pragma once
#include "lora/variant.h"

namespace loragrad {

/// ΔW = s B A, A [r, in] drawn by config.init_lora_weights, B [out, r] zero. Variants that add to it derive from it.
class PlainLora : public LoraVariant {
 public:
  std::span<const VariantTensor> tensors() const override;
  void start(LoraModule& module, const ModuleSpec& spec, const InitialDraw& draw) const override;
  void add_to(LoraMap& map, const LoraModule& module, const ModuleUse& use) const override;
  std::span<const std::string_view> merged() const override;
  AddChange change(std::string_view parameter, const LoraModule& module, const Weight& base, double weight,
                   DType dtype) const override;

 protected:
  /// A and B, and behind them a vector that has an element for each of the map's outputs.
  static std::vector<VariantTensor> with_vector(std::span<const VariantTensor> factors, std::string_view name,
                                                Tensor LoraModule::*place);
};

/// The same of an embedding, under PEFT's names for it: A [r, vocab] zero, B [d, r] normal, and no dropout.
class EmbeddingLora : public PlainLora {
 public:
  void check(const LoraConfig& config) const override;
  bool of_embedding() const override { return true; }
  std::span<const VariantTensor> tensors() const override;
  void start(LoraModule& module, const ModuleSpec& spec, const InitialDraw& draw) const override;
  void add_to(LoraMap& map, const LoraModule& module, const ModuleUse& use) const override;
};

}  // namespace loragrad

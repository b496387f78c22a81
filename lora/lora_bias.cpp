#include <string>

#include "engine/error.h"
#include "lora/plain_lora.h"

namespace loragrad {
namespace {

/// PEFT's lora_bias: B has a bias, so the map's output gets s (B A x + b). b starts at zero, is scaled as B A is, and
/// merges into the map's own bias.
class LoraBias final : public PlainLora {
 public:
  void check(const LoraConfig& config) const override {
    if (config.init_lora_weights != LoraInit::standard)
      throw UsageError("init_lora_weights: expected true beside lora_bias, found \"" +
                       std::string(name_of(config.init_lora_weights)) + '"');  // as PEFT does
  }

  std::span<const VariantTensor> tensors() const override {
    // Proves nothing: attention does not depend on a key's bias, whose gradient is rounding alone.
    static const std::vector<VariantTensor> list =
        with_vector(PlainLora::tensors(), "lora_B.bias", &LoraModule::b_bias);
    return list;
  }

  void start(LoraModule& module, const ModuleSpec& spec, const InitialDraw& draw) const override {
    PlainLora::start(module, spec, draw);
    module.b_bias = Tensor::zeros(draw.device, {1, spec.map.out}, draw.dtype);
  }

  void add_to(LoraMap& map, const LoraModule& module, const ModuleUse& use) const override {
    PlainLora::add_to(map, module, use);
    map.terms.back().b_bias = module.b_bias;
  }

  std::span<const std::string_view> merged() const override {
    static constexpr std::string_view list[] = {"weight", "bias"};
    return list;
  }

  AddChange change(std::string_view parameter, const LoraModule& module, const Weight& base, double weight,
                   DType dtype) const override {
    if (parameter != "bias") return PlainLora::change(parameter, module, base, weight, dtype);
    if (module.b_bias.shape() != base.shape())
      throw ShapeError("merge: " + module.name + ": lora_B.bias " + module.b_bias.shape().text() +
                       " does not fit a bias of " + base.shape().text());
    return [device = base.device(), bias = module.b_bias.detach(), scale = weight * module.scale](
               Matrix block, std::int64_t, double beta) {
      device->kernels().accumulate(*device, {bias.matrix(), scale, block, beta});
    };
  }
};

}  // namespace

const LoraVariant& lora_bias() {
  static const LoraBias variant;
  return variant;
}

}  // namespace loragrad

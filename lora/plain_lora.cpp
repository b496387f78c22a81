#include "lora/plain_lora.h"

#include <string>

#include "engine/error.h"
#include "lora/initial_factors.h"
#include "lora/operand.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

void add_product(Device& device, Matrix block, const Tensor& a, const Tensor& b, double scale, std::int64_t begin,
                 WeightLayout layout, double beta) {
  if (layout == WeightLayout::out_in) {
    gemm(device,
         {.c = block, .a = row_range(b.matrix(), begin, block.rows), .b = a.matrix(), .alpha = scale, .beta = beta});
  } else {  // (B A)ᵀ = Aᵀ Bᵀ
    gemm(device, {.c = block,
                  .a = column_range(a.matrix(), begin, block.rows),
                  .b = b.matrix(),
                  .transpose_a = true,
                  .transpose_b = true,
                  .alpha = scale,
                  .beta = beta});
  }
}

constexpr VariantTensor factors[] = {
    {.name = "lora_A.weight",
     .place = &LoraModule::a,
     .shape =
         [](const ModuleSpec& spec) {
           return Shape{spec.rank, spec.map.in};
         }},
    {.name = "lora_B.weight",
     .place = &LoraModule::b,
     .shape =
         [](const ModuleSpec& spec) {
           return Shape{spec.map.out, spec.rank};
         },
     .proves = true},
};

}  // namespace

std::span<const VariantTensor> PlainLora::tensors() const { return factors; }

std::vector<VariantTensor> PlainLora::with_vector(std::span<const VariantTensor> factors, std::string_view name,
                                                  Tensor LoraModule::*place) {
  std::vector<VariantTensor> list(factors.begin(), factors.end());
  list.push_back({.name = name,
                  .place = place,
                  .shape =
                      [](const ModuleSpec& spec) {
                        return Shape{1, spec.map.out};
                      },
                  .is_vector = true});
  return list;
}

void PlainLora::start(LoraModule& module, const ModuleSpec& spec, const InitialDraw& draw) const {
  InitialFactors initial = initial_factors(spec, draw);
  module.a = initial.a;
  module.b = initial.b;
  module.a0 = initial.a0;
  module.b0 = initial.b0;
}

void PlainLora::add_to(LoraMap& map, const LoraModule& module, const ModuleUse& use) const {
  double scale = use.weight * module.scale;
  map.terms.push_back({module.a, module.b, scale, use.dropout, use.tokens, use.rows_alone});
  // The base's own part: without dropout, as the base is.
  if (module.a0.defined()) map.terms.push_back({module.a0, module.b0, -scale, {}, use.tokens, use.rows_alone});
}

std::span<const std::string_view> PlainLora::merged() const {
  static constexpr std::string_view list[] = {"weight"};
  return list;
}

AddChange PlainLora::change(std::string_view, const LoraModule& module, const Weight& base, double weight,
                            DType dtype) const {
  const Tensor &a = module.a, &b = module.b;
  if (a.cols() != base.in_features() || b.rows() != base.out_features() || a.rows() != b.cols())
    throw ShapeError("merge: " + module.name + ": A " + a.shape().text() + " and B " + b.shape().text() +
                     " do not fit a weight of in = " + std::to_string(base.in_features()) +
                     ", out = " + std::to_string(base.out_features()));
  double scale = weight * module.scale;
  AddChange change = [device = base.device(), a = operand(a, dtype), b = operand(b, dtype), scale,
                      layout = base.layout()](Matrix block, std::int64_t begin, double beta) {
    add_product(*device, block, a, b, scale, begin, layout, beta);
  };
  if (!module.a0.defined()) return change;
  return [change, device = base.device(), a = operand(module.a0, dtype), b = operand(module.b0, dtype), scale,
          layout = base.layout()](Matrix block, std::int64_t begin, double beta) {
    change(block, begin, beta);
    add_product(*device, block, a, b, -scale, begin, layout, 1);
  };
}

const LoraVariant& plain_lora() {
  static const PlainLora variant;
  return variant;
}

}  // namespace loragrad

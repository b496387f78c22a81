#include "lora/plain_lora.h"

#include <cmath>
#include <string>

#include "engine/error.h"
#include "engine/random.h"
#include "lora/operand.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

/// Drawn as f32 whatever the dtype, so that a gradient check in f64 starts where training does.
Tensor initial_a(const ModuleSpec& spec, const InitialDraw& draw) {
  const std::string& name = spec.map.name;
  Random random(draw.seed, hash_name(name.data(), name.size()));
  std::vector<float> values(static_cast<std::size_t>(spec.rank * spec.map.in));
  double bound = 1 / std::sqrt(static_cast<double>(spec.map.in)), deviation = 1 / static_cast<double>(spec.rank);
  bool gaussian = spec.config.init_lora_weights == LoraInit::gaussian;
  for (float& value : values)
    value = static_cast<float>(gaussian ? deviation * random.normal() : bound * (2 * random.uniform() - 1));
  Tensor a = Tensor::from(draw.device, {spec.rank, spec.map.in}, std::move(values));
  return draw.dtype == DType::f32 ? a : a.to(draw.dtype);
}

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

}  // namespace

std::span<const VariantTensor> PlainLora::tensors() const {
  static constexpr VariantTensor list[] = {
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
  return list;
}

void PlainLora::start(LoraModule& module, const ModuleSpec& spec, const InitialDraw& draw) const {
  module.a = initial_a(spec, draw);
  module.b = Tensor::zeros(draw.device, {spec.map.out, spec.rank}, draw.dtype);
}

void PlainLora::add_to(LoraMap& map, const LoraModule& module, const ModuleUse& use) const {
  map.terms.push_back({module.a, module.b, use.weight * module.scale, use.dropout, use.tokens, use.rows_alone});
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
  return [device = base.device(), a = operand(a, dtype), b = operand(b, dtype), scale = weight * module.scale,
          layout = base.layout()](Matrix block, std::int64_t begin, double beta) {
    add_product(*device, block, a, b, scale, begin, layout, beta);
  };
}

const LoraVariant& plain_lora() {
  static const PlainLora variant;
  return variant;
}

}  // namespace loragrad

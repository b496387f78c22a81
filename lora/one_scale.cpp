#include "lora/one_scale.h"

#include <algorithm>

#include "engine/error.h"

namespace loragrad {
namespace {

/// factor · values in the first rows and columns, zeros beyond.
Tensor padded(const Tensor& values, Shape shape, double factor) {
  std::vector<float> from = values.values<float>(), out(static_cast<std::size_t>(shape.numel()));
  for (std::int64_t i = 0; i < values.rows(); ++i)
    for (std::int64_t j = 0; j < values.cols(); ++j)
      out[static_cast<std::size_t>(i * shape.cols + j)] =
          static_cast<float>(factor * double{from[static_cast<std::size_t>(i * values.cols() + j)]});
  return Tensor::from(values.device(), shape, std::move(out));
}

}  // namespace

Adapter with_one_scale(const Adapter& adapter) {
  if (adapter.modules.empty()) throw InputError("convert: expected an adapter with modules, found none");
  if (!adapter.parameters_of_base.empty())
    throw InputError("convert: " + adapter.parameters_of_base.front().name +
                     ": expected A and B alone, found a parameter of the base trained beside them");
  std::int64_t rank = 0;
  double scale = adapter.modules.front().scale;
  bool one = scale != 0;
  for (const LoraModule& module : adapter.modules) {
    if (module.variant != &plain_lora())
      throw InputError("convert: " + module.name + ": expected A and B alone, found another kind of LoRA");
    rank = std::max(rank, module.a.rows());
    one = one && module.scale == scale;
  }
  if (!one) scale = 1;

  Adapter result;
  result.base_model = adapter.base_model;
  result.config.r = rank;
  result.config.lora_alpha = scale * static_cast<double>(rank);
  result.config.lora_dropout = adapter.config.lora_dropout;
  result.config.target_modules = adapter.config.target_modules;
  for (const LoraModule& module : adapter.modules)
    result.modules.push_back({.name = module.name,
                              .a = padded(module.a, {rank, module.a.cols()}, 1),
                              .b = padded(module.b, {module.b.rows(), rank}, one ? 1 : module.scale),
                              .scale = scale,
                              .layout = module.layout});
  return result;
}

}  // namespace loragrad

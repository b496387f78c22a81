#include "lora/merge/one_scale.h"

#include <algorithm>

#include "engine/error.h"
#include "lora/merge/plain_factors.h"

namespace loragrad {
namespace {

void require_nothing_beside(const Adapter& adapter) {
  constexpr const char *expected = ": expected A and B alone, found ",
                       *why = ", which PEFT's files alone have a place for";
  if (!adapter.parameters_of_base.empty())
    throw InputError("convert: " + adapter.parameters_of_base.front().name + expected +
                     "a parameter of the base trained beside them" + why);
  if (!adapter.rows_of_base.empty())
    throw InputError("convert: " + adapter.rows_of_base.front().module + expected +
                     "tokens trained beside them (trainable_token_indices)" + why);
}

}  // namespace

Adapter with_one_scale(const Adapter& adapter) {
  if (adapter.modules.empty()) throw InputError("convert: expected an adapter with modules, found none");
  require_plain(adapter, "convert");
  require_nothing_beside(adapter);
  std::int64_t rank = 0;
  double scale = adapter.modules.front().scale;
  bool one = scale != 0;
  for (const LoraModule& module : adapter.modules) {
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
    result.modules.push_back(
        {.name = module.name,
         .a = padded(module.a.device(), on_host(module.a), {rank, module.a.cols()}),
         .b = padded(module.b.device(), on_host(module.b), {module.b.rows(), rank}, one ? 1 : module.scale),
         .scale = scale,
         .layout = module.layout,
         .variant = module.variant});
  return result;
}

}  // namespace loragrad

#include "lora/merge/on_original_base.h"

#include <cmath>

#include "engine/device.h"

namespace loragrad {
namespace {

void copy(const Tensor& from, double factor, Matrix to) {
  from.device()->kernels().accumulate(*from.device(), {from.matrix(), factor, to, 0});
}

}  // namespace

Adapter on_original_base(const Adapter& adapter) {
  Adapter result = adapter;
  LoraConfig& config = result.config;
  if (!changes_base(config.init_lora_weights)) return result;
  config.init_lora_weights = LoraInit::standard;
  double more = config.use_rslora ? std::sqrt(2.0) : 2.0;
  config.r *= 2;
  config.lora_alpha *= more;
  for (auto& [key, rank] : config.rank_pattern) rank *= 2;
  for (auto& [key, alpha] : config.alpha_pattern) alpha *= more;
  for (LoraModule& module : result.modules) {
    std::int64_t r = module.a.rows(), in = module.a.cols(), out = module.b.rows();
    Tensor a = Tensor::empty(module.a.device(), {2 * r, in}, module.a.dtype());
    Tensor b = Tensor::empty(module.b.device(), {out, 2 * r}, module.b.dtype());
    copy(module.a, 1, row_range(a.mutable_matrix(), 0, r));
    copy(module.a0, 1, row_range(a.mutable_matrix(), r, r));
    copy(module.b, 1, column_range(b.mutable_matrix(), 0, r));
    copy(module.b0, -1, column_range(b.mutable_matrix(), r, r));
    module.a = a;
    module.b = b;
    module.a0 = module.b0 = {};
  }
  return result;
}

}  // namespace loragrad

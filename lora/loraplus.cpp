#include "lora/loraplus.h"

#include "lora/variant.h"

namespace loragrad {

std::vector<double> loraplus_ratios(const Adapter& adapter, double ratio, double lr) {
  constexpr double embedding_lr = 1e-6;
  std::vector<double> ratios;
  for (const LoraModule& module : adapter.modules)
    for (const VariantTensor& tensor : module.variant->tensors()) {
      if (ratio != 1 && lr > 0 && module.variant->of_embedding() && !tensor.is_vector)
        ratios.push_back(embedding_lr / lr);
      else
        ratios.push_back(tensor.is_vector || tensor.name.starts_with("lora_B") ? ratio : 1);
    }
  for (const TrainedParameter& parameter : adapter.parameters_of_base)
    ratios.push_back(parameter.values.rows() == 1 ? ratio : 1);
  ratios.insert(ratios.end(), adapter.rows_of_base.size(), 1);
  return ratios;
}

}  // namespace loragrad

#include "train/first_step.h"

#include <functional>
#include <string_view>

#include "engine/error.h"
#include "ops/l2_norm.h"

namespace loragrad {
namespace {

std::size_t fingerprint(const Tensor& tensor) {
  auto hash = [](const auto& values) {
    return std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])});
  };
  return tensor.dtype() == DType::f64 ? hash(tensor.values<double>()) : hash(tensor.values<float>());
}

bool is_zero(const Tensor& tensor) { return l2_norm(tensor.device(), tensor.matrix()) == 0; }

/// True when a position after the first is supervised: labels are shifted by one.
bool has_later_label(const Row& row) {
  for (std::size_t i = 2; i < row.labels.size(); ++i)
    if (row.labels[i] != no_label) return true;
  return false;
}

}  // namespace

bool FirstStepProof::exempt(const LoraModule& module) const {
  return !scores_matter_ && (module.name.ends_with("q_proj") || module.name.ends_with("k_proj"));
}

void FirstStepProof::before_update(const StepRows& rows) {
  for (const Row* row : rows) scores_matter_ = scores_matter_ || has_later_label(*row);
  for (const LoraModule& module : adapter_.modules) {
    Tensor gradient = module.b.grad();
    if (!exempt(module) && (!gradient.defined() || is_zero(gradient)))
      throw NumericError(module.name + ": expected a gradient on lora_B in the first step, found " +
                         (gradient.defined() ? "zeros" : "none"));
    fingerprints_.push_back(fingerprint(module.b));
  }
}

void FirstStepProof::after_update() const {
  for (std::size_t i = 0; i < adapter_.modules.size(); ++i) {
    const LoraModule& module = adapter_.modules[i];
    if (!exempt(module) && fingerprint(module.b) == fingerprints_[i])
      throw NumericError(module.name + ": expected the first step to change lora_B, found it unchanged");
  }
}

}  // namespace loragrad

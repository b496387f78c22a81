#include "train/first_step.h"

#include <fmt/format.h>

#include <functional>
#include <string_view>
#include <utility>

#include "engine/error.h"
#include "lora/variant.h"
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

FirstStepProof::FirstStepProof(const Adapter& adapter) : has_dropout_(adapter.config.lora_dropout > 0) {
  for (const LoraModule& module : adapter.modules)
    for (const VariantTensor& part : module.variant->tensors())
      if (part.proves) waiting_.push_back({module.name, std::string(part.name), module.*part.place});
}

bool FirstStepProof::exempt(const std::string& module) const {
  return !scores_matter_ && (module.ends_with("q_proj") || module.ends_with("k_proj"));
}

void FirstStepProof::before_update(const StepRows& rows) {
  for (const Row* row : rows) scores_matter_ = scores_matter_ || has_later_label(*row);
  std::vector<Proof> parts = std::exchange(waiting_, {});
  proofs_.clear();
  for (Proof& part : parts) {
    if (exempt(part.module)) continue;
    Tensor gradient = part.tensor.grad();
    bool is_nothing = gradient.defined() && is_zero(gradient);
    if (is_nothing && has_dropout_) {
      waiting_.push_back(std::move(part));
      continue;
    }
    if (!gradient.defined() || is_nothing)
      throw NumericError(fmt::format("{}: expected a gradient on {} in the first step, found {}", part.module,
                                     part.name, is_nothing ? "zeros" : "none"));
    part.fingerprint = fingerprint(part.tensor);
    proofs_.push_back(std::move(part));
  }
}

void FirstStepProof::after_update() const {
  for (const Proof& proof : proofs_)
    if (fingerprint(proof.tensor) == proof.fingerprint)
      throw NumericError(
          fmt::format("{}: expected the first step to change {}, found it unchanged", proof.module, proof.name));
}

}  // namespace loragrad

#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "lora/adapter.h"
#include "train/step.h"

namespace loragrad {

/// Proof that every module of an adapter takes part in the training: what its variant names for it (B) has a gradient
/// that is not zero, and the first step that has a learning rate changes it. Both checks throw NumericError naming the first
/// module that fails. What dropout left nothing of is looked at again in the next step.
class FirstStepProof {
 public:
  explicit FirstStepProof(const Adapter& adapter);
  /// Before the update. Modules named q_proj or k_proj are let off where no loss depends on them: a row's first token
  /// attends to itself alone whatever the scores, so rows of one or two tokens give q and k no gradient.
  void before_update(const StepRows& rows);
  /// After it.
  void after_update() const;
  bool is_complete() const { return waiting_.empty(); }

 private:
  struct Proof {
    std::string module, name;
    Tensor tensor;
    std::size_t fingerprint = 0;  ///< before the update
  };
  bool exempt(const std::string& module) const;
  bool has_dropout_, scores_matter_ = false;
  std::vector<Proof> waiting_, proofs_;
};

}  // namespace loragrad

#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/model.h"
#include "train/step.h"

namespace loragrad {

/// Where the memory of one micro-batch goes, in bytes.
struct MemoryProfile {
  /// What the nodes of one name keep for backward at the end of the forward. A value that several nodes keep is counted
  /// once; parameters are not counted.
  struct Op {
    std::string name;
    std::int64_t nodes = 0;
    std::size_t bytes = 0;
  };
  std::vector<Op> ops;    ///< the largest first
  std::size_t other = 0;  ///< alive beside them: the batch, the loss, what recipes alone keep
  std::int64_t rows = 0, tokens = 0, layers = 0;

  std::string peak_in;             ///< "the forward pass", "the backward of attention"
  std::size_t peak_gradients = 0;  ///< at the peak: of what is trained
  std::size_t peak_kept = 0;       ///< by nodes that have not run backward yet
  std::size_t peak_scratch = 0;    ///< gradients of activations, workspaces, `other`

  std::size_t kept() const;
  std::size_t peak() const { return peak_gradients + peak_kept + peak_scratch; }
};

/// Runs forward and backward of the last micro-batch of `step`, the others before it, and follows the device's memory:
/// on a meta device nothing is computed. Gradients of `trained` are cleared before and after.
MemoryProfile profile_memory(const CausalLm& model, std::vector<Tensor> trained, const StepRows& step,
                             const PassOptions& options);

}  // namespace loragrad

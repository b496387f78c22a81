#pragma once
#include <vector>

#include "engine/tensor.h"

namespace loragrad::bench {

/// 2 m n k.
double flops(const GemmArgs& product);

/// The matrix products of a training step, recorded as they were called, to run again alone.
class Products {
 public:
  /// Products with a dimension of `rank` or less, tokens aside, are the adapter's; 0: there is none.
  explicit Products(std::int64_t rank) : rank_(rank) {}
  void record(const GemmArgs& product);
  /// The head's products, as if each tile of tokens were multiplied in one piece.
  void record(const HeadLossArgs& head);

  /// Operands of the same shapes and strides. Weights and biases are the model's own, so that they come from memory as
  /// they do in the step.
  void give_operands(const DevicePtr& device);
  /// The model's products, the adapter's left out, after each other.
  void run(Device& device) const;
  /// The same, each in one piece with the library's own threads, and each weight in the activations' type: what the
  /// library takes without help.
  void run_by_library(Device& device) const;
  /// Whether the library multiplies the activations' type.
  bool library_takes() const;
  bool empty() const { return model_.empty(); }

  double model_flops() const { return model_flops_; }
  double adapter_flops() const { return adapter_flops_; }

 private:
  std::int64_t rank_;
  std::vector<GemmArgs> model_, for_library_;
  std::vector<Tensor> operands_;
  double model_flops_ = 0, adapter_flops_ = 0;
};

}  // namespace loragrad::bench

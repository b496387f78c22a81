#pragma once
#include <functional>
#include <string>
#include <vector>

#include "models/blocks.h"
#include "models/families/family.h"

namespace loragrad {

/// What every family's class starts from.
class Decoder : public CausalLm {
 protected:
  explicit Decoder(const ModelParts& parts);
  /// Registers the layers that may be adapted, in the order of the forward pass.
  void adaptable(const std::vector<LinearLayer*>& layers) {
    linears_.insert(linears_.end(), layers.begin(), layers.end());
  }
  void adaptable(EmbeddingLayer& layer) { embedding_ = &layer; }
  /// The type of the residual stream: f32, or f64 when computing in f64.
  DType residual() const { return accumulation_type(dtype_); }
  /// A number as a weight in the type that is computed in would hold it.
  double rounded(double value) const;
  std::size_t layer_count() const { return static_cast<std::size_t>(config_.num_hidden_layers); }

  /// One transformer block, `layer` from 0. The values are the same whenever it runs.
  using Block = std::function<Tensor(const Tensor& x, std::size_t layer, const Pass& pass)>;
  /// x through all blocks, in order.
  Tensor through_blocks(Tensor x, const Pass& pass, const Block& block) const;
};

}  // namespace loragrad

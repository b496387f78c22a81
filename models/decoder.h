#pragma once
#include <initializer_list>
#include <string>

#include "models/family.h"
#include "ops/norm.h"

namespace loragrad {

/// The shared parts of a decoder: what every family's class starts from.
class Decoder : public CausalLm {
 protected:
  explicit Decoder(const ModelParts& parts);
  /// Registers the layers that may be adapted, in the order of the forward pass.
  void adaptable(std::initializer_list<LinearLayer*> layers) { linears_.insert(linears_.end(), layers); }
  /// The type of the residual stream: f32, or f64 when computing in f64.
  DType residual() const { return accumulation_type(dtype_); }
  /// x through all blocks, in order.
  Tensor through_blocks(Tensor x, const Pass& pass) const;
  /// One transformer block, `layer` from 0. The values are the same whenever it runs.
  virtual Tensor block(const Tensor& x, std::size_t layer, const Pass& pass) const = 0;
  /// Attention of one layer, through the pass's cache where there is one.
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Pass& pass, const AttentionConfig& config,
                std::size_t layer) const;
};

/// A LayerNorm's two vectors.
struct LayerNorm {
  ParameterSlot weight, bias;
  double eps = 1e-5;
  Tensor operator()(const Tensor& x, DType dtype) const { return layer_norm(x, *weight, *bias, eps, dtype); }
};

}  // namespace loragrad

#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstddef>
#include <vector>

#include "models/linear_layer.h"
#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/norm.h"

/// The parts that decoders are made of: a family's file names their parameters and puts them together. x is
/// [tokens, d], and let go of as soon as it has been read; `dtype` is the type to compute the next product in.
namespace loragrad {

/// A LayerNorm's two vectors.
struct LayerNorm {
  ParameterSlot weight, bias;
  double eps = 1e-5;
  Tensor operator()(const Tensor& x, DType dtype) const { return layer_norm(x, *weight, *bias, eps, dtype); }
};

/// An RMSNorm's vector.
struct RmsNorm {
  ParameterSlot weight;
  double eps = 1e-6, offset = 0;  ///< offset: of the weight
  Tensor operator()(const Tensor& x, DType dtype) const { return rms_norm(x, *weight, eps, dtype, offset); }
  /// Of each of x's heads by itself, over the weight's length.
  Tensor of_heads(const Tensor& x) const;
};

/// Attention of layer `layer`, through the pass's cache where there is one.
Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Pass& pass, const AttentionConfig& config,
              std::size_t layer);

/// o(attention(q(x), k(x), v(x))), of one layer.
struct AttentionBlock {
  LinearLayer q_proj, k_proj, v_proj, o_proj;
  AttentionConfig config;  ///< the layer's own: window, scale
  std::size_t layer = 0;
  RmsNorm q_norm = {}, k_norm = {};  ///< where they have a weight: of each head, or of all together, as long as it is

  /// `turns`: the rotations of the pass's positions (ops/rope.h), undefined where the layer rotates nothing.
  Tensor operator()(Tensor x, const Pass& pass, const Tensor& turns = {}) const;
  std::vector<LinearLayer*> linears() { return {&q_proj, &k_proj, &v_proj, &o_proj}; }
};

/// down(f(up(x)))
struct Mlp {
  LinearLayer up, down;
  Activation activation = Activation::relu;
  Tensor operator()(Tensor x, const Pass& pass) const;
  std::vector<LinearLayer*> linears() { return {&up, &down}; }
};

/// down(f(gate(x)) up(x))                                                                       Shazeer 2020
struct GatedMlp {
  LinearLayer gate_proj, up_proj, down_proj;
  Activation activation = Activation::silu;
  Tensor operator()(Tensor x, const Pass& pass) const;
  std::vector<LinearLayer*> linears() { return {&gate_proj, &up_proj, &down_proj}; }
};

}  // namespace loragrad

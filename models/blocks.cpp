#include "models/blocks.h"

#include <string>

#include "engine/error.h"
#include "models/pass.h"
#include "ops/rope.h"

namespace loragrad {
namespace {

void append_rows(const Tensor& from, Tensor& to, std::int64_t at) {
  Matrix target = row_range(to.mutable_matrix(), at, from.rows());
  from.device()->kernels().accumulate(*from.device(), {from.matrix(), 1, target, 0});
}

}  // namespace

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Pass& pass, const AttentionConfig& config,
              std::size_t layer) {
  const Batch& batch = pass.batch;
  if (!pass.cache) return attention(q, k, v, batch.offsets, config);
  KeyValueCache& cache = *pass.cache;
  std::int64_t keys = cache.length + batch.tokens;
  if (batch.offsets->rows() != 1)
    throw UsageError("attention: a cache holds one row, found " + std::to_string(batch.offsets->rows()));
  if (keys > cache.capacity)
    throw UsageError("attention: the cache holds " + std::to_string(cache.capacity) + " tokens, found " +
                     std::to_string(keys));
  append_rows(k, cache.k.at(layer), cache.length);
  append_rows(v, cache.v.at(layer), cache.length);
  return attention(q, cache.k[layer].rows(0, keys), cache.v[layer].rows(0, keys), batch.offsets, config);
}

Tensor RmsNorm::of_heads(const Tensor& x) const {
  std::int64_t head_dim = weight->shape().cols;
  return (*this)(x.reshape({x.numel() / head_dim, head_dim}), x.dtype()).reshape(x.shape());
}

Tensor AttentionBlock::operator()(Tensor x, const Pass& pass, const Tensor& turns) const {
  std::vector<Tensor> qkv = LinearLayer::together({&q_proj, &k_proj, &v_proj}, x, pass);
  x = {};
  if (q_norm.weight) qkv[0] = q_norm.of_heads(qkv[0]);
  if (k_norm.weight) qkv[1] = k_norm.of_heads(qkv[1]);
  if (turns.defined())
    for (Tensor* turned : {&qkv[0], &qkv[1]}) *turned = rope(*turned, turns, config.head_dim);
  Tensor o = attend(qkv[0], qkv[1], qkv[2], pass, config, layer);
  qkv.clear();
  return o_proj(o, pass);
}

Tensor Mlp::operator()(Tensor x, const Pass& pass) const {
  x = up(x, pass);
  x = loragrad::activation(activation, x);
  return down(x, pass);
}

Tensor GatedMlp::operator()(Tensor x, const Pass& pass) const {
  std::vector<Tensor> gate_up = LinearLayer::together({&gate_proj, &up_proj}, x, pass);
  x = gated(activation, gate_up[0], gate_up[1]);
  gate_up.clear();
  return down_proj(x, pass);
}

}  // namespace loragrad

#include "models/decoder.h"

#include "engine/error.h"
#include "engine/recompute.h"

namespace loragrad {

Decoder::Decoder(const ModelParts& parts) {
  config_ = parts.config;
  device_ = parts.device;
  dtype_ = parts.dtype;
}

Tensor Decoder::through_blocks(Tensor x, const Pass& pass) const {
  auto kept = pass.recompute && !pass.cache ? std::make_shared<const Pass>(pass) : nullptr;
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(config_.num_hidden_layers); ++layer) {
    if (kept)
      x = recompute(x, [this, layer, kept](const Tensor& input) { return block(input, layer, *kept); });
    else
      x = block(x, layer, pass);
  }
  return x;
}

namespace {

void append_rows(const Tensor& from, Tensor& to, std::int64_t at) {
  Matrix target = row_range(to.mutable_matrix(), at, from.rows());
  from.device()->kernels().accumulate(*from.device(), {from.matrix(), 1, target, 0});
}

}  // namespace

Tensor Decoder::attend(const Tensor& q, const Tensor& k, const Tensor& v, const Pass& pass,
                       const AttentionConfig& config, std::size_t layer) const {
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

}  // namespace loragrad

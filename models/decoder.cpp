#include "engine/checkpoint.h"
#include "engine/error.h"
#include "models/family.h"

namespace loragrad {

Decoder::Decoder(const ModelParts& parts) {
  config_ = parts.config;
  device_ = parts.device;
  dtype_ = parts.dtype;
}

namespace {

void append_rows(const Tensor& from, Tensor& to, std::int64_t at) {
  Matrix target = row_range(to.mutable_matrix(), at, from.rows());
  from.device()->kernels().accumulate(*from.device(), from.matrix(), 1, target, 0);
}

}  // namespace

Tensor Decoder::through_blocks(Tensor x, const Batch& batch, const ForwardContext& context,
                               KeyValueCache* cache) const {
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(config_.num_hidden_layers); ++layer) {
    if (!context.checkpoint || cache)
      x = block(x, layer, batch, context, cache);
    else
      x = checkpoint(x, [this, layer, batch, context](const Tensor& input, bool again) {
        ForwardContext run = context;
        run.again = again;
        return block(input, layer, batch, run, nullptr);
      });
  }
  return x;
}

Tensor Decoder::attend(const Tensor& q, const Tensor& k, const Tensor& v, const Batch& batch,
                       const AttentionConfig& config, std::size_t layer, KeyValueCache* cache) const {
  if (!cache) return attention(q, k, v, batch.offsets, config);
  std::int64_t keys = cache->length + batch.tokens;
  if (batch.offsets->rows() != 1)
    throw UsageError("attention: a cache holds one row, found " + std::to_string(batch.offsets->rows()));
  if (keys > cache->capacity)
    throw UsageError("attention: the cache holds " + std::to_string(cache->capacity) + " tokens, found " +
                     std::to_string(keys));
  append_rows(k, cache->k.at(layer), cache->length);
  append_rows(v, cache->v.at(layer), cache->length);
  return attention(q, cache->k[layer].rows(0, keys), cache->v[layer].rows(0, keys), batch.offsets, config);
}

Tensor shifted(const Tensor& positions, std::int32_t offset) {
  auto values = positions.values<std::int32_t>();
  for (auto& value : values) value += offset;
  return Tensor::from(positions.device(), positions.shape(), values.data());
}

}  // namespace loragrad

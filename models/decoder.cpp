#include "models/decoder.h"

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

Tensor Decoder::attend(const Tensor& q, const Tensor& k, const Tensor& v, const Pass& pass,
                       const AttentionConfig& config, std::size_t layer) const {
  const Batch& batch = pass.batch;
  if (!pass.cache) return attention(q, k, v, batch.spans, config);
  pass.cache->put(layer, k, v, batch.cache_rows);
  return attention(q, pass.cache->keys(layer), pass.cache->values(layer), batch.spans, config);
}

}  // namespace loragrad

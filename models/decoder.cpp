#include "models/decoder.h"

#include "engine/recompute.h"

namespace loragrad {

Decoder::Decoder(const ModelParts& parts) {
  config_ = parts.config;
  device_ = parts.device;
  dtype_ = parts.dtype;
}

double Decoder::rounded(double value) const {
  if (dtype_ == DType::f64) return value;
  auto single = static_cast<float>(value);
  return dtype_ == DType::bf16 ? static_cast<float>(bf16(single)) : single;
}

Tensor Decoder::through_blocks(Tensor x, const Pass& pass, const Block& block) const {
  auto kept = pass.recompute && !pass.cache ? std::make_shared<const Pass>(pass) : nullptr;
  for (std::size_t layer = 0; layer < layer_count(); ++layer) {
    if (kept)
      x = recompute(x, [block, layer, kept](const Tensor& input) { return block(input, layer, *kept); });
    else
      x = block(x, layer, pass);
  }
  return x;
}

}  // namespace loragrad

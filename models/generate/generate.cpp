#include "models/generate/generate.h"

#include <algorithm>

namespace loragrad {

std::vector<std::int32_t> generate(BatchDecoder& decoder, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options, const std::function<bool(std::int32_t)>& on_token) {
  decoder.add(0, {prompt.begin(), prompt.end()}, options);
  std::vector<std::int32_t> tokens;
  while (!decoder.done())
    for (const BatchDecoder::Token& token : decoder.step()) {
      tokens.push_back(token.id);
      if (on_token && !on_token(token.id)) decoder.cancel(0);
    }
  return tokens;
}

std::int64_t most_tokens(const CausalLm& model, std::int64_t prompt, const GenerateOptions& options) {
  std::int64_t most = model.config().max_position_embeddings;
  return std::min(most, prompt + std::min(options.max_tokens, most));
}

std::vector<std::int32_t> generate(const CausalLm& model, const ActiveAdapters& adapters,
                                   std::span<const std::int32_t> prompt, const GenerateOptions& options,
                                   const std::function<bool(std::int32_t)>& on_token) {
  options.check();
  BatchDecoder decoder(model, 1, most_tokens(model, static_cast<std::int64_t>(prompt.size()), options), adapters);
  return generate(decoder, prompt, options, on_token);
}

}  // namespace loragrad

#include "app/end_tokens.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "app/terminal/console.h"
#include "io/json.h"

namespace loragrad {

std::vector<TokenId> end_tokens(const ModelConfig& config, const Tokenizer* tokenizer) {
  if (!config.eos_token_ids.empty()) return config.eos_token_ids;
  auto own = tokenizer ? tokenizer->end_token() : std::nullopt;
  if (own && *own < config.vocab_size) return {*own};
  return {};
}

std::string token_text(TokenId id, const Tokenizer* tokenizer) {
  const std::string* text = tokenizer ? tokenizer->token(id) : nullptr;
  return text ? fmt::format("\"{}\" ({})", escaped(*text), id) : fmt::format("{}", id);
}

void warn_of_end_tokens(const ModelConfig& config, const Tokenizer* tokenizer, const char* without) {
  std::vector<TokenId> ends = end_tokens(config, tokenizer);
  auto own = tokenizer ? tokenizer->end_token() : std::nullopt;
  if (own && std::find(ends.begin(), ends.end(), *own) == ends.end())
    warn(fmt::format(
        "the tokenizer's end token, {}, {}", token_text(*own, tokenizer),
        ends.empty()
            ? fmt::format("is beyond the model's vocabulary of {}: {}", config.vocab_size, without)
            : fmt::format("is not among the model's, which end a text: {} (eos_token_id)", fmt::join(ends, ", "))));
  else if (ends.empty())
    warn(
        fmt::format("no end token: neither generation_config.json nor config.json has an eos_token_id, and the "
                    "tokenizer names none: {}",
                    without));
}

void warn_of_end_tokens(const ModelConfig& config, const Tokenizer* tokenizer, const Dataset& data) {
  // The others have the end tokens that they have.
  if (data.format == "text" || data.format == "prompt/completion")
    warn_of_end_tokens(config, tokenizer, "rows end without one, and generation does not learn to end");
}

}  // namespace loragrad

#pragma once
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "io/json.h"

namespace loragrad {

/// What a model made from nothing needs in its folder besides weights: config.json with what transformers asks for,
/// generation_config.json, and a tokenizer. The bytes tokenizer is written as an ordinary tokenizer.json
/// (docs/formats.md), so that nobody has to know of it.
class FreshFolder {
 public:
  /// Reads the configuration and settles the end token: the config's, else the bytes tokenizer's own, else none.
  FreshFolder(const std::string& config_file, Tokenizer tokenizer);
  const Tokenizer& tokenizer() const { return tokenizer_; }
  const std::vector<TokenId>& end_tokens() const { return end_tokens_; }
  void write(const std::string& folder) const;

 private:
  Tokenizer tokenizer_;
  Json config_;
  std::vector<TokenId> end_tokens_;
};

}  // namespace loragrad

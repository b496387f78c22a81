#pragma once
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "io/json.h"

namespace loragrad {

/// What a model made from nothing needs in its folder besides weights: config.json with what transformers asks for,
/// generation_config.json, and all files of its tokenizer. The bytes tokenizer is written as an ordinary tokenizer.json
/// (docs/formats.md), so that nobody has to know of it.
class FreshFolder {
 public:
  /// Reads the configuration and settles the end tokens: `config_ends`, the config's, else the tokenizer's own, else
  /// none.
  FreshFolder(const std::string& config_file, Tokenizer tokenizer, std::vector<TokenId> config_ends);
  const Tokenizer& tokenizer() const { return tokenizer_; }
  const std::vector<TokenId>& end_tokens() const { return end_tokens_; }
  void write(const std::string& folder) const;

 private:
  void write_tokenizer(const std::string& folder) const;

  Tokenizer tokenizer_;
  Json config_;
  std::vector<TokenId> end_tokens_;
};

}  // namespace loragrad

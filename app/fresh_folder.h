#pragma once
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer/tokenizer.h"
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
  /// Of the configuration, as a checkpoint knows what it belongs to.
  std::string config_hash() const;
  /// What it read it kept: the files may be gone by now.
  void write(const std::string& folder) const;

 private:
  using Files = std::vector<std::pair<std::string, std::string>>;  ///< names and contents
  static Files tokenizer_files(const Tokenizer& tokenizer);

  Tokenizer tokenizer_;
  Files files_;
  Json config_;
  std::vector<TokenId> end_tokens_;
};

}  // namespace loragrad

#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loragrad {

/// What a tokenizer class of transformers 5 adds to the files of a folder, as far as ids depend on it.
struct TokenizerClass {
  std::string_view name;
  /// Special tokens that it has where the folder's files do not name them: "eos_token" and its like, and the text.
  std::vector<std::pair<std::string_view, std::string_view>> special_tokens;
  /// It builds its own normalizer and pre-tokenizer, these, in tokenizer.json's words, whatever that file says.
  bool builds = false;
  std::string_view normalizer = "null", pre_tokenizer = "null";
  bool takes_prefix_space = false;  ///< add_prefix_space of tokenizer_config.json is the pre-tokenizer's
  bool reads_merges = false;        ///< from vocab.json and merges.txt too
  bool drops_post_processor = false;
  bool resets_flags = false;  ///< its special tokens are matched as they stand, whatever the files say of them
};

/// The class that AutoTokenizer takes. `declared` is tokenizer_config.json's tokenizer_class, else config.json's;
/// `model_type` config.json's; `byte_level` tells whether there is a tokenizer.json with a ByteLevel component. A class
/// that is not known here is the one that takes tokenizer.json as it stands, TokenizersBackend.
const TokenizerClass& tokenizer_class(const std::optional<std::string>& declared,
                                      const std::optional<std::string>& model_type, bool byte_level);
/// Names of the classes with `reads_merges`, for messages.
std::string classes_that_read_merges();

}  // namespace loragrad

#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizer/token_adder.h"
#include "data/tokenizer/tokenizer_class.h"

namespace loragrad {

/// A token as a file names it: by its text alone, or as an object with flags.
struct NamedToken {
  AddedToken token;              ///< without an id
  bool text = true;              ///< by its text alone: special, and matched as it stands
  bool says_normalized = false;  ///< an object that does not say is normalized unless it is special
  bool bare_object = false;      ///< an object of tokenizer_config.json, which added_tokens.json is not compared with

  friend bool operator==(const NamedToken& a, const NamedToken& b);
};

/// What the files beside a tokenizer's vocabulary say of its tokens: tokenizer_config.json, special_tokens_map.json and
/// added_tokens.json, with the class's own tokens, put together as transformers 5 does it (docs/formats.md).
struct SpecialTokens {
  /// Reads what there is of the three in `folder`. `own` are the tokens that tokenizer.json adds, with their ids there;
  /// `pad` is the token it pads with, where it does. InputError with file and key for a value of the wrong kind.
  static SpecialTokens read(const std::string& folder, const TokenizerClass& type, const std::vector<AddedToken>& own,
                            const std::optional<std::string>& pad);

  /// Adds them all.
  void add_to(TokenAdder& adder, const TokenizerClass& type) const;
  /// The text of "eos_token" or the like; nullopt where there is none.
  std::optional<std::string> named(std::string_view key) const;

  std::vector<std::pair<std::string, NamedToken>> names;  ///< "bos_token" and its like; then those of a model's own
  std::vector<NamedToken> extra;                          ///< additional_special_tokens or extra_special_tokens
  std::map<TokenId, NamedToken> decoder;                  ///< added_tokens_decoder, or what older files say instead
  bool has_decoder = false;                               ///< tokenizer_config.json has added_tokens_decoder
  bool split_special_tokens = false, add_bos_token = false, add_eos_token = false;
  std::optional<bool> add_prefix_space;
};

}  // namespace loragrad

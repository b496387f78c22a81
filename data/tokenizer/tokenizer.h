#pragma once
// Threads: after it has been made it is only read, by any number at a time.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loragrad {

using TokenId = std::int32_t;

/// Bytes [begin, end) of a text, on the bounds of characters; begin == end: none.
struct TextSpan {
  std::size_t begin = 0, end = 0;
  bool operator==(const TextSpan&) const = default;
};

/// The ids of a text, and for each the characters that it stands for, from the first to the last
/// (docs/design/012-characters-of-tokens.md).
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<TextSpan> spans;
};

/// Text to token ids and back, as the `tokenizers` library does it for the styles in docs/formats.md. Immutable and
/// thread-safe.
class Tokenizer {
 public:
  /// Reads a folder's tokenizer.json, or vocab.json + merges.txt (OPT, GPT-2), with what tokenizer_config.json,
  /// special_tokens_map.json and added_tokens.json say of tokens, as transformers would; `config` is the model's
  /// config.json, where that is not the folder's. The error of `lack` where there is no tokenizer; InputError naming
  /// file and key for anything unknown in tokenizer.json: never silently ignored.
  static Tokenizer from_folder(const std::string& folder, const std::optional<std::string>& config = std::nullopt);
  /// Why a folder has no tokenizer that is read, and what helps; nullopt where it has one. "FOLDER: expected X, found
  /// Y".
  static std::optional<std::string> lack(const std::string& folder);
  /// Reads one tokenizer.json, and no file beside it.
  static Tokenizer from_file(const std::string& path);
  /// 256 tokens, one a byte, and an end token with id 256: for `pretrain` without a tokenizer.
  static Tokenizer bytes();

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of `text` (UTF-8; InputError otherwise). `add_special` applies the post-processor (BOS and the like).
  /// Special tokens spelled in the text are recognised. O(n log n) in the length of the text. InputError too when the
  /// tokenizer's steps make the text a hundred times longer.
  std::vector<TokenId> encode(std::string_view text, bool add_special = true) const;
  /// The same ids without the post-processor's, and what of `text` they stand for.
  Encoding encode_with_spans(std::string_view text) const;
  /// Ids that the post-processor puts before a text (BOS), and behind it.
  const std::vector<TokenId>& special_before() const;
  const std::vector<TokenId>& special_after() const;
  /// What generation goes on from: `text` with what stands before a text, without what stands behind it.
  std::vector<TokenId> encode_prompt(std::string_view text) const;
  /// Text of `ids`; an id without a token (a gap in the vocabulary, a padded row of the model's head) has none.
  std::string decode(const std::vector<TokenId>& ids, bool skip_special = true) const;

  /// One more than the largest id.
  std::int64_t vocab_size() const;
  std::optional<TokenId> id_of(std::string_view token) const;
  /// As the files spell it; null for an id that has none.
  const std::string* token(TokenId id) const;
  /// The end of a text, by the files beside the vocabulary (eos_token); nullopt where they name none.
  std::optional<TokenId> end_token() const;
  /// Names and texts of special tokens ("bos_token" and its like), by the files beside the vocabulary.
  const std::vector<std::pair<std::string, std::string>>& named_tokens() const;
  /// Bytes of the longest added token that is spelled at the start of `text`, as it stands; 0: none.
  std::size_t added_token_at(std::string_view text) const;
  /// The file this came from ("" for bytes()).
  const std::string& source() const;
  /// All files that were read, so that a model folder can be given the same ones; none for bytes().
  const std::vector<std::string>& files() const;
  /// What somebody who has these files should know, a line each.
  const std::vector<std::string>& warnings() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace loragrad

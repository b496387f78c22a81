#include "data/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/tokenizer_parts.h"
#include "data/unicode.h"
#include "engine/error.h"
#include "io/mapped_file.h"

namespace loragrad {

std::optional<TokenId> TokenizerParts::find(std::string_view token) const {
  if (auto id = added_vocabulary.find(token)) return id;
  return model.vocabulary.find(token);
}

const std::string* TokenizerParts::token(TokenId id) const {
  if (const std::string* token = added_vocabulary.token(id)) return token;
  return model.vocabulary.token(id);
}

struct Tokenizer::Impl : TokenizerParts {
  explicit Impl(TokenizerParts parts) : TokenizerParts(std::move(parts)) {
    for (const AddedToken& token : added.tokens()) {
      if (token.special) special.insert(token.id);
      if (token.normalized) spelled[token.id] = normalize(normalizer, token.content);
    }
  }
  /// Appends the ids of `text`, and their spans if asked.
  void encode(std::string_view text, std::vector<TokenId>& ids, std::vector<TextSpan>* spans) const;

  std::unordered_set<TokenId> special;
  std::unordered_map<TokenId, std::string> spelled;  // `normalized` tokens are decoded as they are found
};

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::optional<std::string> Tokenizer::lack(const std::string& folder) {
  auto there = [&](const char* name) { return is_there(std::filesystem::path(folder) / name); };
  bool vocab = there("vocab.json"), merges = there("merges.txt");
  if (there("tokenizer.json") || (vocab && merges)) return std::nullopt;
  if (vocab || merges)
    return fmt::format("{}: expected tokenizer.json, or vocab.json and merges.txt, found {} without {}", folder,
                       vocab ? "vocab.json" : "merges.txt", vocab ? "merges.txt" : "vocab.json");
  for (const char* other :
       {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tiktoken.model", "tekken.json"})
    if (there(other))
      return fmt::format(
          "{}: expected tokenizer.json, found {} alone, which is not read; transformers makes one of it, there: "
          "python3 "
          "-c \"from transformers import AutoTokenizer as T; T.from_pretrained('.').save_pretrained('.')\"",
          folder, other);
  return folder + ": expected tokenizer.json, or vocab.json and merges.txt, found neither";
}

Tokenizer Tokenizer::from_folder(const std::string& folder, const std::optional<std::string>& config) {
  if (auto lacking = lack(folder)) throw IoError(*lacking);
  return Tokenizer(std::make_unique<const Impl>(read_tokenizer_folder(folder, config)));
}

Tokenizer Tokenizer::from_file(const std::string& path) {
  return Tokenizer(std::make_unique<const Impl>(read_tokenizer_json(path)));
}

Tokenizer Tokenizer::bytes() {
  TokenizerParts parts;
  for (int byte = 0; byte < 256; ++byte) {
    char c = static_cast<char>(byte);
    parts.model.vocabulary.add(to_byte_level({&c, 1}), byte);
  }
  AddedToken end;
  end.id = 256;
  end.content = "<|endoftext|>";
  end.special = true;
  parts.added_vocabulary.add(end.content, end.id);
  parts.end_token = end.id;
  parts.added = AddedTokens({end}, {});
  parts.pre_tokenizer.emplace_back().use_regex = false;
  parts.decoder.emplace_back();
  return Tokenizer(std::make_unique<const Impl>(std::move(parts)));
}

void Tokenizer::Impl::encode(std::string_view text, std::vector<TokenId>& ids, std::vector<TextSpan>* spans) const {
  if (std::size_t at = invalid_utf8(text); at != std::string_view::npos)
    throw InputError(
        fmt::format("text: byte {}: expected UTF-8, found 0x{:02x}", at + 1, static_cast<unsigned char>(text[at])));
  GrowthLimit limit(text.size());
  std::vector<TextSpan> tokens;  // of one word
  for (AddedTokens::Part& part : added.split(text, normalizer, spans != nullptr)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      if (spans) spans->push_back(part.span);
      continue;
    }
    Words words = pre_tokenize(pre_tokenizer, std::move(part.piece), part.at_start, limit);
    limit.add(words.text.bytes.size());
    for (const Span& word : words.bounds) {
      tokens.clear();
      std::string_view bytes = std::string_view(words.text.bytes).substr(word.begin, word.end - word.begin);
      model.encode(bytes, ids, spans ? &tokens : nullptr);
      for (const TextSpan& token : tokens)
        spans->push_back(words.text.characters(word.begin + token.begin, word.begin + token.end, text));
    }
  }
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool add_special) const {
  std::vector<TokenId> ids;
  if (add_special) ids = impl_->before;
  impl_->encode(text, ids, nullptr);
  if (add_special) ids.insert(ids.end(), impl_->after.begin(), impl_->after.end());
  return ids;
}

std::vector<TokenId> Tokenizer::encode_prompt(std::string_view text) const {
  std::vector<TokenId> ids = impl_->before;
  impl_->encode(text, ids, nullptr);
  return ids;
}

Encoding Tokenizer::encode_with_spans(std::string_view text) const {
  Encoding encoding;
  impl_->encode(text, encoding.ids, &encoding.spans);
  return encoding;
}

const std::vector<TokenId>& Tokenizer::special_before() const { return impl_->before; }

const std::vector<TokenId>& Tokenizer::special_after() const { return impl_->after; }

std::string Tokenizer::decode(const std::vector<TokenId>& ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (TokenId id : ids) {
    const std::string* token = impl_->token(id);
    if (!token) continue;
    if (skip_special && impl_->special.contains(id)) continue;
    auto spelled = impl_->spelled.find(id);
    tokens.push_back(spelled == impl_->spelled.end() ? *token : spelled->second);
  }
  return decode_tokens(impl_->decoder, std::move(tokens));
}

std::int64_t Tokenizer::vocab_size() const {
  return static_cast<std::int64_t>(std::max(impl_->model.vocabulary.size(), impl_->added_vocabulary.size()));
}

std::optional<TokenId> Tokenizer::id_of(std::string_view token) const { return impl_->find(token); }

const std::string* Tokenizer::token(TokenId id) const { return impl_->token(id); }
std::optional<TokenId> Tokenizer::end_token() const { return impl_->end_token; }
const std::vector<std::pair<std::string, std::string>>& Tokenizer::named_tokens() const { return impl_->named_tokens; }

std::size_t Tokenizer::added_token_at(std::string_view text) const {
  std::size_t longest = 0;
  for (const AddedToken& token : impl_->added.tokens())
    if (token.matched && text.starts_with(token.content)) longest = std::max(longest, token.content.size());
  return longest;
}
const std::string& Tokenizer::source() const { return impl_->source; }
const std::vector<std::string>& Tokenizer::files() const { return impl_->files; }
const std::vector<std::string>& Tokenizer::warnings() const { return impl_->warnings; }

}  // namespace loragrad

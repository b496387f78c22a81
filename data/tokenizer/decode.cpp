#include "data/tokenizer/decode.h"

#include <fmt/ranges.h>

#include <optional>

#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/traced_text.h"
#include "data/unicode.h"

namespace loragrad {
namespace {

using Tokens = std::vector<std::string>;

std::string join(const Tokens& tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte of a token "<0xNN>".
std::optional<char> byte_of(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  int high = hex_digit(token[3]), low = hex_digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high << 4 | low);
}

Tokens byte_fallback(const Tokens& tokens) {
  Tokens out;
  std::string bytes;
  auto flush = [&] {
    if (bytes.empty()) return;
    if (invalid_utf8(bytes) == std::string::npos) {
      out.push_back(bytes);
    } else {
      for (std::size_t i = 0; i < bytes.size(); ++i) out.push_back("\xef\xbf\xbd");
    }
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (auto byte = byte_of(token)) {
      bytes.push_back(*byte);
      continue;
    }
    flush();
    out.push_back(token);
  }
  flush();
  return out;
}

std::string strip(const DecodeStep& step, std::string_view token) {
  for (std::size_t i = 0; i < step.start && token.starts_with(step.content); ++i)
    token.remove_prefix(step.content.size());
  for (std::size_t i = 0; i < step.stop && token.ends_with(step.content); ++i) token.remove_suffix(step.content.size());
  return std::string(token);
}

void replace(const Pattern& pattern, std::string_view content, std::string& token, GrowthLimit& limit,
             const std::string& where) {
  token = replace_all(TracedText{std::move(token)}, pattern, content, limit, where).bytes;
  limit.add(token.size());
}

Tokens apply(const DecodeStep& step, Tokens tokens, GrowthLimit limit) {
  switch (step.kind) {
    case DecodeStep::Kind::byte_level: {
      std::string bytes;
      for (const std::string& token : tokens) append_byte_level(bytes, token);
      return {to_valid_utf8(bytes)};
    }
    case DecodeStep::Kind::byte_fallback:
      return byte_fallback(tokens);
    case DecodeStep::Kind::fuse:
      return {join(tokens)};
    case DecodeStep::Kind::replace:
      for (std::string& token : tokens) replace(step.pattern, step.content, token, limit, step.where);
      return tokens;
    case DecodeStep::Kind::strip:
      for (std::string& token : tokens) token = strip(step, token);
      return tokens;
    case DecodeStep::Kind::metaspace:
      for (std::size_t i = 0; i < tokens.size(); ++i)
        replace(Pattern::literal(step.content), i == 0 && step.drop_first ? "" : " ", tokens[i], limit, step.where);
      return tokens;
  }
  return tokens;
}

}  // namespace

std::string decode_tokens(const std::vector<DecodeStep>& steps, std::vector<std::string> tokens) {
  if (steps.empty()) return fmt::format("{}", fmt::join(tokens, " "));
  std::size_t size = 0;
  for (const std::string& token : tokens) size += token.size();
  for (const DecodeStep& step : steps) tokens = apply(step, std::move(tokens), GrowthLimit(size));
  return join(tokens);
}

}  // namespace loragrad
